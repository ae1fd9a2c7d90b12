"""The other end of a client's connection, as far as the connection itself tells."""

from dataclasses import dataclass
from typing import Literal

Scheme = Literal["http", "https"]

WITHOUT_ADDRESS = "unix"
"""The address of a peer that has none: it is on a local socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """
    Who connected, known once per connection.

    `address` is that of the PROXY header where one was believed. `certificate` is the thumbprint of
    the client certificate that the handshake verified (RFC 8705 section 3.1: base64url of the SHA-256
    of its DER form), None without one. `is_trusted` says that the peer is a trusted proxy by the
    socket it came through, whatever its address.
    """

    address: str
    scheme: Scheme = "http"
    certificate: str | None = None
    is_trusted: bool = False
