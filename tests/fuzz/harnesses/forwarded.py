"""Addresses in X-Forwarded-For, and a trace: read or ignored, and one line each for the upstream."""

from ipaddress import ip_address, ip_network

from proxy.model.peer import Peer
from proxy.wire.forwarded import MAX_HOPS, client_address, forwarding_lines
from proxy.wire.traceparent import continue_trace

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def check(data: bytes) -> None:
    """Read the lines of `data`: the first as a traceparent, the others as X-Forwarded-For."""
    trace, *lines = data.split(b"\n")
    client, chain = client_address(Peer(address="10.0.0.1"), lines, TRUSTED)
    assert len(chain) <= MAX_HOPS
    for hop in (client, *chain):
        ip_address(hop)
    written = forwarding_lines(client, b"a.example", "https", chain)
    assert written.count(b"\r\n") == written.count(b"\n") == 4
    value, _ = continue_trace([trace], "a" * 32, "b" * 16)
    assert len(value) == 55
    assert value.startswith(b"00-")
    assert not value.translate(None, b"0123456789abcdef-")
