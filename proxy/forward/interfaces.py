"""What the upstream side tells the one who forwarded a request, and what it lends to that one."""

from asyncio import Transport
from collections.abc import Callable
from typing import Protocol

from proxy.model.decision import Reason
from proxy.model.upstream import Timeouts
from proxy.wire.framing import Framing


class Receiver(Protocol):
    """
    Takes the response to one request, piece by piece, in order.

    After `response_end` or `response_failed` nothing more comes. Pieces that arrive together are
    followed by one `response_flush`. `upstream_address` is where the request was sent last,
    `failed_addresses` where it was sent in vain before.
    """

    method: str
    upstream_address: str
    failed_addresses: tuple[str, ...]

    @property
    def affinity(self) -> bytes:
        """What requests have in common that should meet the same endpoint."""

    @property
    def is_replayable(self) -> bool:
        """Whether the request can be sent a second time: safely, whole, and before any response."""

    def take_back(self) -> None:
        """Give up the connection, if there was one, and wait to `take` another."""

    def take(self, outbound: "Outbound") -> None:
        """Send the request on `outbound`."""

    def interim_response(self, status: int, phrase: bytes, lines: list[bytes]) -> None:
        """Take a 1xx response; `lines` is a flat list of header bytes."""

    def response_head(
        self, status: int, phrase: bytes, lines: list[bytes], framing: Framing, content_length: int | None
    ) -> None:
        """Take the final response's head; `lines` is a flat list of header bytes without the framing."""

    def response_body(self, data: bytes) -> None:
        """Take a piece of the body, never empty."""

    def response_trailer(self, name: bytes, value: bytes) -> None:
        """Take a field that came behind the body."""

    def response_switch(
        self, phrase: bytes, lines: list[bytes], named: list[bytes], outbound: "Outbound"
    ) -> bool:
        """
        Take a 101 with its Upgrade values, and have `outbound` handed over.

        False if it answers nothing that was asked; then `response_failed` follows.
        """

    def response_flush(self) -> None:
        """Send on what has come so far."""

    def response_end(self) -> None:
        """The response is complete."""

    def response_failed(self, reason: Reason) -> None:
        """There will be no (complete) response."""

    def upstream_writable(self) -> None:
        """The upstream took what was waiting for it; more of the request body may come."""

    def upstream_blocked(self) -> None:
        """The upstream does not keep up; the request body has to wait."""


class Taker(Protocol):
    """Takes over a connection that leaves HTTP."""

    def take(
        self,
        transport: Transport,
        ahead: bytes,
        *,
        is_blocked: bool,
        on_lost: Callable[[Exception | None], None],
    ) -> None:
        """
        Take the connection, whose reading is paused, with what has come on it ahead.

        `is_blocked` says that its peer does not keep up; `on_lost` has to be told when it is closed.
        """


class Outbound(Protocol):
    """The part of a connection that its request may use."""

    def limit(self, timeouts: Timeouts) -> None:
        """Let these times hold for this response, instead of the upstream's."""

    def send(self, data: bytes) -> None:
        """Send bytes of the request."""

    def end_request(self) -> None:
        """The request is sent whole."""

    def pause(self) -> None:
        """Hold the response back."""

    def resume(self) -> None:
        """Let the response come on."""

    def expect_switch(self) -> None:
        """The request asks for another protocol: a 101 may come, and no further request is sent."""

    def hand_over(self, taker: Taker) -> None:
        """Give up the connection to `taker`."""

    def abort(self) -> None:
        """Drop the connection; nothing more comes."""
