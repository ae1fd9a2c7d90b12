"""What is wrong with an upstream before anything is sent to it, for `rolegate check` and at start."""

from collections.abc import Iterator

from proxy.errors import ConfigurationError
from proxy.forward.networks import is_denied, is_literal
from proxy.forward.tls import ClientTls
from proxy.model.upstream import Upstream


def faults(upstream: Upstream) -> Iterator[str]:
    """Yield a message for each: an address that is denied, TLS files that cannot be used."""
    for endpoint in upstream.endpoints:
        if is_literal(endpoint.host) and is_denied(endpoint.host, upstream.denied_networks):
            yield (
                f"endpoint `{endpoint.address}` is in a denied network; name another address, or see "
                "`dns.deny_networks` and `dns.unsafe_allow_metadata`"
            )
    if any(endpoint.is_tls for endpoint in upstream.endpoints):
        try:
            ClientTls(upstream.tls)
        except ConfigurationError as error:
            yield str(error)
