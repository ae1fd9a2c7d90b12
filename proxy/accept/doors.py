"""A door: one place to listen on, and what a connection goes through before its first request."""

import asyncio
from dataclasses import dataclass

from proxy.accept.sockets import Place
from proxy.accept.tls import Tls, thumbprint
from proxy.model.peer import WITHOUT_ADDRESS, Peer
from proxy.wire.forwarded import Network, canonical_address, is_among


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """
    How connections to one place begin.

    `proxies` are the networks whose peers have to send a PROXY header; `demands_header` says that
    every peer has to, as on a UNIX socket. `trusts_peers` makes whoever is on a UNIX socket a trusted
    proxy. `handshake_timeout_s` is for PROXY header and TLS handshake together.
    """

    place: Place
    tls: Tls | None = None
    handshake_timeout_s: float = 10.0
    proxies: tuple[Network, ...] = ()
    demands_header: bool = False
    trusts_peers: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether nothing comes before the first request."""
        return self.tls is None and not self.proxies and not self.demands_header

    def peer_of(self, transport: asyncio.BaseTransport) -> Peer:
        """Return who connected, as the socket says."""
        return self.peer_at(transport.get_extra_info("peername"))

    def peer_at(self, address: object) -> Peer:
        """Return who connected from an address as the socket interface has it; a UNIX socket has none."""
        if isinstance(address, tuple):
            return Peer(address=canonical_address(address[0]))
        return Peer(address=WITHOUT_ADDRESS, is_trusted=self.trusts_peers)

    def needs_header(self, peer: Peer) -> bool:
        """Whether `peer` has to begin with a PROXY header; from anybody else none is honoured."""
        return self.demands_header or (bool(self.proxies) and is_among(peer.address, self.proxies))

    def secured(self, peer: Peer, transport: asyncio.BaseTransport) -> Peer:
        """Return `peer` with what the handshake told."""
        certificate = None
        if self.tls is not None and self.tls.asks_for_certificates:
            der = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            certificate = thumbprint(der) if der else None
        return Peer(address=peer.address, scheme="https", certificate=certificate, is_trusted=peer.is_trusted)
