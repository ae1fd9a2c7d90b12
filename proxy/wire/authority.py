"""
The one reading of a Host value (RFC 9110 section 7.2, RFC 3986 section 3.2).

Law: a host has one spelling here: lower case, no trailing dot, no port with leading zeros, an IPv6
address in its shortest form. What another parser could take for a different host is refused, above
all numbers: `127.1` and `0x7f.1` are a name to one parser and an address to the next.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from proxy.errors import RequestError
from proxy.model.decision import Reason

MAX_HOST_CHARS = 253  # RFC 1035 section 2.3.4, in text form
MAX_LABEL_CHARS = 63
MAX_PORT = 65535

# An attacker may send any number of hosts: only readable ones are kept, each at most 259 bytes long,
# and the least recently used one makes room.
MAX_KNOWN_HOSTS = 1024

_AUTHORITY = re.compile(r"([a-z0-9_.-]++|\[[0-9a-f:.]++\])(?::([1-9][0-9]{0,4}))?").fullmatch
# The rule of the URL Standard: a last label like this makes the whole host an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*").fullmatch


@lru_cache(maxsize=MAX_KNOWN_HOSTS)
def parse_authority(claimed_host: bytes) -> tuple[str, bytes]:
    """
    Return the host without its port, and the authority to send upstream; `RequestError` if unclear.

    An IPv6 address keeps its brackets in both.
    """
    text = claimed_host.strip(b" \t").decode("latin-1").translate(_LOWER)
    match = _AUTHORITY(text)
    if match is None:
        raise _ambiguous("the Host header has to be `name`, `name:port`, `address` or `[address]:port`")
    host, port = match[1], match[2]
    if port is not None and int(port) > MAX_PORT:
        raise _ambiguous(f"the port in the Host header is above {MAX_PORT}")
    host = _canonical_ipv6(host) if host[0] == "[" else _checked_name(host)
    authority = host if port is None else f"{host}:{port}"
    return host, authority.encode("ascii")


# Not `str.lower`: it folds letters from outside ASCII, the Kelvin sign to `k` for one.
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _checked_name(host: str) -> str:
    labels = host.split(".")
    if len(host) > MAX_HOST_CHARS or not all(0 < len(label) <= MAX_LABEL_CHARS for label in labels):
        # A trailing dot names the same machine and would miss every rule about it.
        raise _ambiguous(
            "each label of the host has 1 to 63 characters, all together 253, without a dot at the end"
        )
    if _NUMBER(labels[-1]) is not None:
        try:
            IPv4Address(host)
        except ValueError:
            raise _ambiguous(
                "an IPv4 address is written as four decimal numbers without leading zeros"
            ) from None
    return host


def _canonical_ipv6(host: str) -> str:
    try:
        address = IPv6Address(host[1:-1])
    except ValueError:
        raise _ambiguous("the address in brackets is not an IPv6 address") from None
    if address.ipv4_mapped is not None:
        raise _ambiguous("write an IPv4 address as such, not inside an IPv6 address")
    return f"[{address.compressed}]"


def _ambiguous(detail: str) -> RequestError:
    return RequestError(Reason.AMBIGUOUS_HOST, detail)
