"""
Which addresses are never connected to.

Law: the address that is judged is the one that is connected to. A name is not resolved a second
time in between, or whoever answers for it could answer differently (DNS rebinding).
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from proxy.model.upstream import Networks

# RFC 6052 section 2.1: behind a NAT64 gateway, the last four bytes are an IPv4 address.
_NAT64 = IPv6Network("64:ff9b::/96")


def is_denied(address: str, denied: Networks) -> bool:
    """Whether `address`, or the IPv4 address that it stands for, lies in one of `denied`."""
    found = ip_address(address.partition("%")[0])  # without the name of a link
    return any(spelling in network for spelling in _spellings(found) for network in denied)


def _spellings(address: IPv4Address | IPv6Address) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return `address` and the IPv4 address that a packet to it would reach, if there is one."""
    if isinstance(address, IPv4Address):
        return (address,)
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and (address in _NAT64 or int(address) < 2**32):
        inner = IPv4Address(int(address) % 2**32)
    return (address,) if inner is None else (address, inner)


def is_literal(host: str) -> bool:
    """Whether `host` is an address and no name."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
