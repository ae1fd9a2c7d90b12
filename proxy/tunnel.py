"""
Two connections as one: bytes pass in both directions, unread, until both have ended or one breaks.

Law: what waits in here is bounded, because each side stops reading as long as the other does not take
what came; an end is passed on as an end, a break as a reset, and neither side outlives the other.
"""

import asyncio
from collections.abc import Callable

from proxy.model.decision import Reason
from proxy.resetting import reset, said_farewell

# How long both sides may take for what is still under way to them once the tunnel is closed.
LINGER_S = 2.0

OnLost = Callable[[Exception | None], None]


class Side(asyncio.Protocol):
    """
    One of the two connections: what comes in on it goes out on the other.

    `received` counts its bytes; `has_ended` says that no more will come; `is_lost` that it is closed.
    """

    __slots__ = (
        "_ahead",
        "_is_blocked",
        "_is_held",
        "_on_lost",
        "_transport",
        "_was_closed",
        "breaks_as",
        "has_ended",
        "is_lost",
        "other",
        "received",
        "tunnel",
    )

    tunnel: "Tunnel"
    other: "Side"

    def __init__(self, breaks_as: Reason) -> None:
        self.breaks_as = breaks_as
        self._transport: asyncio.Transport | None = None
        self._on_lost: OnLost | None = None
        self._ahead = b""
        self._is_blocked = False
        self._is_held = True
        self._was_closed = False
        self.has_ended = False
        self.is_lost = False
        self.received = 0

    def take(self, transport: asyncio.Transport, ahead: bytes, *, is_blocked: bool, on_lost: OnLost) -> None:
        """
        Take over a connection whose reading is paused, and on which `ahead` has come already.

        `on_lost` is told when it is closed.
        """
        self._transport = transport
        self._ahead = ahead
        self._is_blocked = is_blocked
        self._on_lost = on_lost
        self.has_ended = transport.is_closing()
        transport.set_protocol(self)

    def open(self) -> None:
        """Pass on what came ahead, and read on."""
        ahead, self._ahead = self._ahead, b""
        self._is_held = self.other._is_blocked  # noqa: SLF001 - two halves of one thing
        if ahead:
            self.data_received(ahead)
        if not self._is_held:
            self.release(force=True)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio.Protocol
        self.received += len(data)
        self.other.send(data)

    def eof_received(self) -> bool:  # noqa: D102 - asyncio.Protocol
        tls = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        if tls is not None and not self._was_closed and not said_farewell(tls):
            self.tunnel.cut(self.breaks_as)
            return False
        self.has_ended = True
        self.other.end()
        # Half of a TLS connection cannot be closed: its transport closes the whole, whatever we say.
        return self._transport is not None and self._transport.can_write_eof()

    def pause_writing(self) -> None:  # noqa: D102 - asyncio.Protocol
        self._is_blocked = True
        self.other.hold()

    def resume_writing(self) -> None:  # noqa: D102 - asyncio.Protocol
        self._is_blocked = False
        self.other.release()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: D102 - asyncio.Protocol
        self.is_lost = True
        self._transport = None
        on_lost, self._on_lost = self._on_lost, None
        try:
            self.tunnel.lost(self, error, was_expected=self.has_ended or self._was_closed)
        finally:
            if on_lost is not None:
                on_lost(error)

    # Called by the other side.

    def send(self, data: bytes) -> None:
        """Send what came in on the other side."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def hold(self) -> None:
        """Stop reading: the other side does not take what comes."""
        if not self._is_held:
            self._is_held = True
            if self._transport is not None and not self.has_ended:
                self._transport.pause_reading()

    def release(self, *, force: bool = False) -> None:
        """Read on."""
        if self._is_held or force:
            self._is_held = False
            if self._transport is not None and not self.has_ended and not self._transport.is_closing():
                self._transport.resume_reading()

    def end(self) -> None:
        """Say that no more will come; where that cannot be said alone, or both have said it, close."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self.has_ended or not transport.can_write_eof():
            self.close()
            return
        try:
            transport.write_eof()
        except OSError:
            self.tunnel.cut(self.breaks_as)

    # Called by the tunnel.

    @property
    def waiting_bytes(self) -> int:
        """Bytes that this side has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Close once everything is sent."""
        self._was_closed = True
        # Not twice: asyncio's TLS would forget its connection, and could not be asked or aborted any more.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    @property
    def is_parting(self) -> bool:
        """Whether it is closed but for the peer's farewell, which TLS waits for."""
        return self._was_closed and self._transport is not None and self.waiting_bytes == 0

    def part(self) -> None:
        """Wait no longer for a farewell."""
        if self.is_parting and self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Drop the connection in a way that nobody can take for an end."""
        self._was_closed = True
        if self._transport is not None:
            reset(self._transport)


class Tunnel:
    """
    The two sides together.

    `on_end` is told once why the tunnel ended: `completed` when both connections did in order.
    """

    __slots__ = ("_idle_timeout_s", "_moved", "_on_end", "client", "deadline", "upstream")

    def __init__(self, on_end: Callable[[Reason], None], idle_timeout_s: float, now: float) -> None:
        self._on_end: Callable[[Reason], None] | None = on_end
        self._idle_timeout_s = idle_timeout_s
        self._moved = (0, 0)
        self.deadline = now + idle_timeout_s
        self.client = Side(Reason.CLIENT_GONE)
        self.upstream = Side(Reason.UPSTREAM_RESET)
        self.client.tunnel = self.upstream.tunnel = self
        self.client.other, self.upstream.other = self.upstream, self.client

    @property
    def is_over(self) -> bool:
        """Whether both connections are closed."""
        return self.client.is_lost and self.upstream.is_lost

    def open(self) -> None:
        """Let bytes pass; both sides have their connection."""
        self.client.open()
        self.upstream.open()

    def lost(self, side: Side, error: Exception | None, *, was_expected: bool) -> None:
        """Go on without one of the connections: the other one ends too."""
        if error is not None:
            self.cut(side.breaks_as)
        elif not was_expected:
            # Neither the peer nor this tunnel ended it: the owner of the connection did, at a stop.
            self.cut(Reason.SHUTTING_DOWN)
        elif self.is_over:
            self._end(Reason.COMPLETED)
        else:
            side.other.close()

    def cut(self, reason: Reason) -> None:
        """Reset both connections."""
        self._end(reason)
        self.client.reset()
        self.upstream.reset()

    def close(self, reason: Reason, now: float) -> None:
        """Close both connections once what is under way to them has gone out, or soon."""
        self._end(reason)
        self.deadline = now + LINGER_S
        self.client.close()
        self.upstream.close()

    def sweep(self, now: float) -> None:
        """Note whether anything moved, and end what has not for too long; called several times a second."""
        moved = (
            self.client.received + self.upstream.received,
            self.client.waiting_bytes + self.upstream.waiting_bytes,
        )
        if moved != self._moved and self._on_end is not None:
            self._moved = moved
            self.deadline = now + self._idle_timeout_s
        is_parting = self.client.is_parting or self.upstream.is_parting
        if is_parting:
            self.deadline = min(self.deadline, now + LINGER_S)
        if now >= self.deadline:
            if is_parting:
                self.client.part()
                self.upstream.part()
            elif self._on_end is None:
                self.cut(Reason.STREAM_IDLE)
            else:
                self.close(Reason.STREAM_IDLE, now)

    def _end(self, reason: Reason) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            # Let go of, too: whoever is told knows us, and a cycle would keep its configuration alive.
            on_end(reason)

    def __repr__(self) -> str:
        return f"<Tunnel {self.client.received} bytes up, {self.upstream.received} bytes down>"
