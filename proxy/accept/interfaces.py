"""What a connection needs of the pipeline."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from proxy.interfaces import Client
from proxy.model.decision import Reason
from proxy.model.peer import Peer
from proxy.model.request import Headers
from proxy.wire.reading import HeaderBlock

PeerOf = Callable[[asyncio.BaseTransport], Peer]
"""Says who is at the other end of a connection that was just made."""


class Exchange(Protocol):
    """One request and its response."""

    def begin(
        self,
        method: str,
        target: bytes,
        version: str,
        headers: Headers,
        *,
        keep_alive: bool,
        familiar: HeaderBlock | None = None,
    ) -> HeaderBlock | None:
        """
        Take the head of the request; with `familiar`, its header lines have been read before, and end it.

        Returns what the header lines say if they can serve a later request, else None.
        """

    def refuse(self, reason: Reason, detail: str, claimed_target: bytes) -> None:
        """Refuse a request whose head can't be read."""

    def body(self, data: bytes) -> None:
        """Take a piece of the request's body."""

    def trailer(self, name: bytes, value: bytes) -> None:
        """Take a field that came behind the body."""

    def end(self) -> None:
        """The request has come whole."""

    def request_failed(self, reason: Reason, detail: str = "") -> None:
        """The rest of the request will not come."""

    def client_gone(self) -> None:
        """Nobody waits for the response."""

    def client_blocked(self) -> None:
        """The client does not take the response as fast as it comes."""

    def client_writable(self) -> None:
        """The client took what waited for it."""


class Presence(Protocol):
    """Counts what is here in all processes that serve together."""

    def cell_of_client(self, address: str) -> int:
        """Return where the connections of a client are counted."""

    def total(self, cell: int) -> int:
        """Return how many are here, in all processes."""

    def add(self, cell: int, step: int) -> None:
        """Count one more of this process, or one less with a `step` of -1."""


class Exchanges(Protocol):
    """Makes an exchange for each request."""

    def open(self, client: Client, peer: Peer) -> Exchange:
        """Return the exchange for a request from `peer`."""
