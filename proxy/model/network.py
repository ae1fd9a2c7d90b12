"""Which addresses count as one client."""

from functools import lru_cache
from ipaddress import IPv6Address


def client_network(address: str) -> str:
    """
    Return what stands for everybody who sends from the network of `address`.

    An IPv4 address stands for itself. Of an IPv6 address only the first 64 bits count: whoever has
    one has the 2^64 others of its network, and would never meet a limit. An IPv4 address in IPv6
    notation is the IPv4 address, or it would have two budgets. What is no address stands for itself.
    """
    return address if ":" not in address else _of_ipv6(address)


@lru_cache(maxsize=4096)
def _of_ipv6(address: str) -> str:
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{parsed.packed[:8].hex(':', 2)}::/64"
