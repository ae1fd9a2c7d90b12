"""
Who the client is behind trusted proxies, and what the upstream is told about it (RFC 7239).

Law: what a client says about addresses is believed only as far back as trusted proxies vouch for
it. The list is read from the right, since each hop appends what it saw itself; everything left of
the first untrusted address is that stranger's own text and goes no further.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from proxy.model.peer import Peer, Scheme

Network = IPv4Network | IPv6Network

# More hops than any deployment has; a list of trusted addresses without end is an attack.
MAX_HOPS = 32
MAX_KNOWN_ADDRESSES = 4096

_ENTRY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)").fullmatch
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch


def client_address(
    peer: Peer, unverified_forwarded_for: list[bytes], trusted: tuple[Network, ...]
) -> tuple[str, tuple[str, ...]]:
    """
    Return the client's address, and the trusted hops between it and us, the peer last.

    `peer` is the other end of the connection. `unverified_forwarded_for` are the values of all
    X-Forwarded-For headers in order. An entry that is not an address ends the walk; the last trusted
    hop is the client then. An untrusted peer is the client itself, whatever it sends.
    """
    nearest = _known_hop(peer.address)
    text = peer.address if nearest is None else nearest.text
    if not peer.is_trusted and (nearest is None or not trusted or not _is_trusted(nearest.address, trusted)):
        return text, ()
    hops = [text]
    for hop in _from_the_right(unverified_forwarded_for):
        hops.append(hop.text)
        if not _is_trusted(hop.address, trusted):
            break
    hops.reverse()
    return hops[0], tuple(hops[1:])


def client_scheme(
    peer: Peer, unverified_protos: tuple[bytes, ...], chain: tuple[str, ...], trusted: tuple[Network, ...]
) -> Scheme:
    """
    Return the scheme by which the client came.

    `unverified_protos` are the values of all X-Forwarded-Proto headers in order; `chain` are the
    trusted hops, as `client_address` returned them. Each hop that appends adds one value, so that
    the one that counts stands as far from the right as there are hops; where there are fewer
    values, the leftmost was set by the first hop. What nobody vouches for is not read.
    """
    if not unverified_protos or (not chain and not is_trusted(peer, trusted)):
        return peer.scheme
    claimed = b",".join(unverified_protos).rsplit(b",", MAX_HOPS)[-MAX_HOPS:]
    said = claimed[-min(len(claimed), len(chain) or 1)].strip(b" \t").lower()
    if said == b"https":
        return "https"
    return "http" if said == b"http" else peer.scheme


def is_trusted(peer: Peer, trusted: tuple[Network, ...]) -> bool:
    """Whether the peer itself is a trusted proxy."""
    return peer.is_trusted or is_among(peer.address, trusted)


def canonical_address(address: str) -> str:
    """Return the one way in which an address is written; what is none stays as it is."""
    hop = _known_hop(address)
    return address if hop is None else hop.text


def is_among(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address is in one of the networks, an IPv4-mapped one as what it maps."""
    hop = _known_hop(address)
    return hop is not None and _is_trusted(hop.address, networks)


class _Hop(NamedTuple):
    """An address, and the one way it is written."""

    address: IPv4Address | IPv6Address
    text: str


def _from_the_right(unverified_values: list[bytes]) -> list[_Hop]:
    """Return the hops from the nearest on, up to the first entry that is no address."""
    hops: list[_Hop] = []
    # An empty entry is malformed as well: nobody vouches for what stands left of a gap.
    for entry in reversed(b",".join(unverified_values).rsplit(b",", MAX_HOPS)[-MAX_HOPS:]):
        match = _ENTRY(entry.strip(b" \t").decode("latin-1"))
        hop = None if match is None else _known_hop(match[1] or match[2] or match[3])
        if hop is None:
            break
        hops.append(hop)
    return hops


@lru_cache(maxsize=MAX_KNOWN_ADDRESSES)
def _known_hop(text: str) -> _Hop | None:
    """Return the address in `text`, None where there is none."""
    try:
        # A link-local peer comes with the name of our interface, which is nobody's business.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        # A dual-stack socket shows `10.0.0.1` as `::ffff:10.0.0.1`; the operator lists the former.
        address = address.ipv4_mapped
    return _Hop(address, str(address))


def _is_trusted(address: IPv4Address | IPv6Address, trusted: tuple[Network, ...]) -> bool:
    return any(address in network for network in trusted)


def forwarding_lines(client: str, host_authority: bytes, scheme: str, chain: tuple[str, ...] = ()) -> bytes:
    """
    Return the header lines that tell the upstream where the request came from.

    `client` and `chain` are what `client_address` returned; `host_authority` is canonical; `scheme`
    is that of the connection to us. The last element of Forwarded is the one that we add, so host
    and proto stand there.
    """
    # A peer without an address, on a local socket, is what RFC 7239 section 6.2 calls unknown.
    hops = ["unknown" if _known_hop(hop) is None else hop for hop in (client, *chain)]
    host = host_authority.decode("ascii")
    elements = ", ".join([f"for={_node(hop)}" for hop in hops])
    return (
        f"X-Forwarded-For: {', '.join(hops)}\r\nX-Forwarded-Host: {host}\r\nX-Forwarded-Proto: {scheme}\r\n"
        f"Forwarded: {elements};host={_value(host)};proto={scheme}\r\n"
    ).encode("ascii")


def _node(hop: str) -> str:
    return f'"[{hop}]"' if ":" in hop else hop


def _value(text: str) -> str:
    return text if _TOKEN(text) is not None else f'"{text}"'
