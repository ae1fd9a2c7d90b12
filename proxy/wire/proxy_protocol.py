"""
PROXY protocol, versions 1 and 2, as the specification of HAProxy has them (2020/03/05).

Law: a header is read whole or refused. Nothing behind it is touched, since a TLS handshake or a
request follows in the same bytes: `missing_bytes` never asks for more than surely belongs to it.
What a header says about addresses is believed by the caller or not; here it is only read.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

from proxy.model.peer import WITHOUT_ADDRESS

V1_PREFIX = b"PROXY "
V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"

# Section 2.1: the longest line there is, `PROXY UNKNOWN` with two full IPv6 addresses, with its end.
MAX_V1_BYTES = 107
_SHORTEST_V1_BYTES = len(b"PROXY UNKNOWN\r\n")

_V2_FIXED_BYTES = 16

# Addresses take 216 bytes at most; a TLV may hold a client certificate. 64 KiB is what an attacker would say.
MAX_V2_BYTES = _V2_FIXED_BYTES + 4096

_V1_LINE = re.compile(
    rb"PROXY TCP([46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) ([0-9]{1,5}) ([0-9]{1,5})\r\n"
).fullmatch
_V1_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [\x20-\x7e]*)?\r\n").fullmatch
_MAX_PORT = 65_535

_LOCAL, _PROXY = 0, 1

# Family and transport in one byte (section 2.2) to the length of its addresses; 0 says nothing of use.
_UNSPECIFIED = 0x00
_TCP4, _TCP6, _UNIX_STREAM = 0x11, 0x21, 0x31
_ADDRESS_BYTES = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX_STREAM: 216}


class ProxyHeader(NamedTuple):
    """A header; `address` is the client's, None where the connection speaks for its peer itself."""

    address: str | None


def missing_bytes(header: bytes) -> int:
    """
    Return how many more bytes the header has at least, 0 if it is whole.

    Raises ValueError as soon as `header` cannot be the beginning of one.
    """
    if V2_SIGNATURE.startswith(header[: len(V2_SIGNATURE)]) and header:
        return _missing_of_v2(header)
    if V1_PREFIX.startswith(header[: len(V1_PREFIX)]):
        return _missing_of_v1(header)
    raise ValueError("no PROXY header")


def read_header(header: bytes) -> ProxyHeader:
    """Return what a whole header says, or raise ValueError."""
    return _read_v2(header) if header.startswith(V2_SIGNATURE) else _read_v1(header)


def _missing_of_v1(header: bytes) -> int:
    end = header.find(b"\r")
    if 0 <= end < len(header) - 1:
        if header.find(b"\n") == end + 1 == len(header) - 1:
            return 0
        raise ValueError("the line of a PROXY header ends with CR LF and nothing else")
    if b"\n" in header:
        raise ValueError("the line of a PROXY header ends with CR LF")
    if len(header) >= MAX_V1_BYTES:
        raise ValueError(f"a PROXY header of version 1 has at most {MAX_V1_BYTES} bytes")
    if len(header) < _SHORTEST_V1_BYTES:
        return _SHORTEST_V1_BYTES - len(header)
    return 1 if end >= 0 else min(2, MAX_V1_BYTES - len(header))


def _missing_of_v2(header: bytes) -> int:
    if len(header) < _V2_FIXED_BYTES:
        return _V2_FIXED_BYTES - len(header)
    size = _V2_FIXED_BYTES + int.from_bytes(header[14:16])
    if size > MAX_V2_BYTES:
        raise ValueError(f"a PROXY header of more than {MAX_V2_BYTES} bytes is not read")
    return size - len(header)


def _read_v1(header: bytes) -> ProxyHeader:
    if _V1_UNKNOWN(header) is not None and len(header) <= MAX_V1_BYTES:
        return ProxyHeader(None)
    match = _V1_LINE(header)
    if match is None or len(header) > MAX_V1_BYTES:
        raise ValueError("not a PROXY header of version 1")
    is_v4, source, destination, *ports = match[1] == b"4", match[2], match[3], match[4], match[5]
    if any(int(port) > _MAX_PORT or (port[:1] == b"0" and port != b"0") for port in ports):
        raise ValueError("a port of the PROXY header is none")
    _address(destination, is_v4=is_v4)
    return ProxyHeader(_address(source, is_v4=is_v4))


def _address(text: bytes, *, is_v4: bool) -> str:
    try:
        return str(IPv4Address(text.decode())) if is_v4 else _text_of(IPv6Address(text.decode()))
    except AddressValueError:
        raise ValueError("an address of the PROXY header is none") from None


def _text_of(address: IPv6Address) -> str:
    # A proxy on a dual-stack socket says `::ffff:10.0.0.1` of a client that it and we know as `10.0.0.1`.
    return str(address if address.ipv4_mapped is None else address.ipv4_mapped)


def _read_v2(header: bytes) -> ProxyHeader:
    if len(header) < _V2_FIXED_BYTES or len(header) != _V2_FIXED_BYTES + int.from_bytes(header[14:16]):
        raise ValueError("the PROXY header is not as long as it says")
    version, command = header[12] >> 4, header[12] & 0xF
    if version != 2 or command not in (_LOCAL, _PROXY):
        raise ValueError("not a version and command of the PROXY protocol")
    if command == _LOCAL:
        # Section 2.2: the proxy speaks for itself, a health check; the rest of the block is ignored.
        return ProxyHeader(None)
    family = header[13]
    size = _ADDRESS_BYTES.get(family)
    if size is None or len(header) < _V2_FIXED_BYTES + size:
        # Section 2.2: a receiver has to refuse what it does not know. Datagrams do not come over a stream.
        raise ValueError("not a family of the PROXY protocol, or too short for it")
    addresses = header[_V2_FIXED_BYTES : _V2_FIXED_BYTES + size]
    # What stands behind the addresses (TLVs) is skipped unread.
    if family == _TCP4:
        return ProxyHeader(str(IPv4Address(addresses[:4])))
    if family == _TCP6:
        return ProxyHeader(_text_of(IPv6Address(addresses[:16])))
    return ProxyHeader(WITHOUT_ADDRESS if family == _UNIX_STREAM else None)
