"""
What the gate and the pipeline need of the steps, in their own words.

Nothing here is implemented; `assemble.py` puts the steps in.
"""

from asyncio import Transport
from collections.abc import Callable
from typing import Protocol

from proxy.model.credential import Credential
from proxy.model.decision import Decision, Reason
from proxy.model.flow import Flow
from proxy.model.identity import Identity
from proxy.model.upstream import Timeouts
from proxy.model.verdict import Verdict
from proxy.wire.framing import Framing


class IdentitySource(Protocol):
    """Turns an unverified token into an identity, or into the decision that refuses it."""

    def recall(self, credential: Credential, now: float) -> Identity | Decision | None:
        """Return the answer remembered for this very credential, if it still stands."""

    def remember(self, credential: Credential, found: Identity | Decision, now: float) -> None:
        """Remember the answer for this credential, for as long as nothing changes."""

    def find(self, unverified_token: bytes, now: float) -> Identity | Decision | None:
        """Return the answer if it needs no waiting, else None."""

    async def fetch(
        self, unverified_token: bytes, client: str, now: Callable[[], float]
    ) -> Identity | Decision:
        """Return the answer when it is the client's turn, after fetching what it needs."""


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


class Client(Protocol):
    """The connection a request came on, as the pipeline sees it."""

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
        """The response is sent whole; go on with the next request, or close."""

    def hand_over(self, taker: Taker) -> None:
        """Give up the connection to `taker`."""

    def abort(self) -> None:
        """Reset the connection, so that what was sent can't pass for complete."""


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

    def upstream_blocked(self) -> None:
        """The upstream does not keep up; the request body has to wait."""

    def upstream_writable(self) -> None:
        """The upstream took what waited for it; more of the request body may come."""


class Outbound(Protocol):
    """A connection to an upstream, lent for one request."""

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


class Forwarder(Protocol):
    """Finds a connection for a request."""

    @property
    def acquire(self) -> Callable[[Receiver], None]:
        """Call `receiver.take`, at once or later, or `receiver.response_failed`."""

    def cancel(self, receiver: Receiver) -> None:
        """Forget a request that still waits."""


class Recorded(Protocol):
    """What waits for its decision record to be kept before it acts."""

    def recorded(self) -> None:
        """Go on: the record is kept."""

    def not_recorded(self) -> None:
        """Do not act: the record could not be kept."""


class Trail(Protocol):
    """The audit trail."""

    def decide(self, flow: Flow, who_and_what: str, waiting: Recorded) -> bool:
        """Record a decision, then tell `waiting`, never before this returns; False if it cannot be now."""

    def outcome(self, flow: Flow, duration_s: float) -> None:
        """Record how a forwarded request ended."""


class Admission(Protocol):
    """The limits of one route, or of every request."""

    def admit(self, identity: Identity | None, client: str, now: float) -> Verdict:
        """Let a request in until `leave`, or refuse it."""

    def leave(self) -> None:
        """A request that was let in has ended."""


class Counts(Protocol):
    """The numbers of one route."""

    def decided(self, reason: Reason) -> None:
        """Count a decision."""

    def answered(self, status: int, duration_s: float) -> None:
        """Count a response."""

    def ended(self, reason: Reason, bytes_in: int, bytes_out: int) -> None:
        """Count the end of a forwarded request."""
