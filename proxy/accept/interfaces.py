"""What a connection needs of the pipeline."""

import asyncio
from collections.abc import Callable
from typing import Protocol

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


class Taker(Protocol):
    """Takes over a connection that leaves HTTP."""

    def take(
        self,
        transport: asyncio.Transport,
        ahead: bytes,
        *,
        is_blocked: bool,
        on_lost: Callable[[Exception | None], None],
    ) -> None:
        """
        Take the connection, whose reading is paused, with what has come on it ahead.

        `is_blocked` says that its peer does not keep up; `on_lost` has to be told when it is closed.
        """


class Exchanges(Protocol):
    """Makes an exchange for each request."""

    def open(self, client: "Connection", peer: Peer) -> Exchange:
        """Return the exchange for a request from `peer`."""


class Connection(Protocol):
    """The connection as its exchanges may use it."""

    is_blocked: bool

    @property
    def asks_to_switch(self) -> bool:
        """Whether the request asks for another protocol, so that nothing behind it is read as HTTP."""

    def write(self, data: bytes) -> None:
        """Send bytes of the response."""

    def pause_request(self) -> None:
        """Hold the request body back."""

    def resume_request(self) -> None:
        """Let the request body come on."""

    def reset_unless_finished(self) -> None:
        """Let nothing but `finish` end the connection in order, not even the end of this process."""

    def finish(self, *, keep_alive: bool) -> None:
        """The response is sent whole."""

    def hand_over(self, taker: Taker) -> None:
        """Give up the connection to `taker`."""

    def abort(self) -> None:
        """Reset the connection."""
