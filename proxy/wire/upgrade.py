"""
Leaving HTTP on a connection: what the client asks for, and whether a 101 answers it.

RFC 9110 section 7.8 and RFC 6455 section 4. Law: what goes upstream names only protocols that the
client asked for and the route allows, in lines of ours; a 101 counts only if it names exactly one of
those and, for a WebSocket, proves that it read the key. Who does not check that can be made to pass
on, as bytes, what another hop reads as requests.
"""

import re
from base64 import b64encode
from hashlib import sha1

from proxy.model.request import Headers
from proxy.wire.headers import normal_name

WEBSOCKET = b"websocket"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")  # sixteen bytes in base64
_PROTOCOL = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}(/[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64})?")


class Upgrade:
    """
    What one request may become.

    `lines` are the header lines that ask the upstream for it; `protocols` the names in lower case;
    `accept` the only Sec-WebSocket-Accept that a WebSocket may be answered with.
    """

    __slots__ = ("accept", "lines", "protocols")

    def __init__(self, protocols: list[bytes], accept: bytes) -> None:
        self.protocols = frozenset(protocol.lower() for protocol in protocols)
        self.lines = b"Connection: upgrade\r\nUpgrade: %b\r\n" % b", ".join(protocols)
        self.accept = accept

    def is_answered_by(self, named: list[bytes], lines: list[bytes]) -> bool:
        """Whether a 101 is an answer: `named` are its Upgrade values, `lines` the flat rest of it."""
        if len(named) != 1 or (protocol := named[0].strip(b" \t").lower()) not in self.protocols:
            return False
        if protocol != WEBSOCKET:
            return True
        accepts = [
            lines[at + 2].strip(b" \t")
            for at in range(0, len(lines), 4)
            if lines[at].lower() == b"sec-websocket-accept"
        ]
        return accepts == [self.accept]


def find_upgrade(method: str, headers: Headers, allowed: frozenset[str]) -> Upgrade | None:
    """Return what of `allowed` the request asks for, or None: it is then a request like any other."""
    chosen: list[bytes] = []
    accept = b""
    for protocol in _asked(headers):
        lowered = protocol.lower()
        if lowered.decode("latin-1") not in allowed or not _PROTOCOL.fullmatch(protocol):
            continue
        if lowered == WEBSOCKET:
            accept = _websocket_accept(method, headers)
            if not accept:
                continue
        if protocol not in chosen:
            chosen.append(protocol)
    return Upgrade(chosen, accept) if chosen else None


def _asked(headers: Headers) -> list[bytes]:
    return [name.strip(b" \t") for value in _values(headers, b"upgrade") for name in value.split(b",")]


def _websocket_accept(method: str, headers: Headers) -> bytes:
    """Return what a WebSocket server has to answer to the key, empty if this is no opening handshake."""
    keys = _values(headers, b"sec-websocket-key")
    if method != "GET" or len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        return b""
    return b64encode(sha1(keys[0] + _GUID, usedforsecurity=False).digest())


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value.strip(b" \t") for found, value in headers if normal_name(found) == name]
