"""
What is known of a client connection, and how long its client is waited for.

Law: a client that keeps on, fast enough, is given more time; which client is slow is measured where its
bytes are, and not by whether our buffers drain. One that has left is not waited for, though nothing may be
read of it for a while.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from proxy.accept.closing import OpenEnd
from proxy.accept.familiar import Familiar
from proxy.accept.interfaces import Exchange
from proxy.accept.pipelining import HeldEvents
from proxy.accept.progress import Pace, Taking, waiting
from proxy.accept.reading import RequestReader
from proxy.model.peer import Peer
from proxy.model.request import Headers
from proxy.resetting import reset
from proxy.wire.reading import HeaderBlock

if TYPE_CHECKING:
    from proxy.accept.listener import Listener

NEVER: Final = float("inf")

# Behind its last response the client may still be sending, or owe us the farewell of TLS; so long it may.
LINGER_S: Final = 2.0
NOBODY: Final = Peer(address="")


class Patience(asyncio.Protocol):
    """
    A connection with its deadline.

    `deadline` is the monotonic second from which the client is not waited for any more; `is_blocked`
    says that it does not take its response.
    """

    __slots__ = (
        "_begun",
        "_body_paused",
        "_current",
        "_discarded_bytes",
        "_familiar",
        "_held",
        "_is_broken",
        "_is_lingering",
        "_is_paused",
        "_listener",
        "_open_end",
        "_pace",
        "_peer",
        "_reader",
        "_requests",
        "_taking",
        "deadline",
        "is_blocked",
        "transport",
    )

    _reader: RequestReader  # whoever takes what is read makes it

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self.transport: asyncio.Transport | None = None
        self._peer = NOBODY
        self._current: Exchange | None = None
        self._held = HeldEvents()
        self._begun: tuple[Headers, HeaderBlock] | None = None
        self._familiar: Familiar | None = None
        self._is_broken = False
        self._is_lingering = False
        self._discarded_bytes = 0
        self._is_paused = False
        self._body_paused = False
        self.is_blocked = False
        self.deadline = NEVER
        self._pace = Pace.of(listener.limits)
        self._taking: Taking | None = None
        self._open_end: OpenEnd | None = None
        self._requests = 0

    def _set_deadline(self) -> None:
        """Give the present state its deadline; who does not take the response keeps the one for that."""
        if self.is_blocked or self._is_lingering:
            return
        limits, reader = self._listener.limits, self._reader
        wait_s = NEVER
        if self._current is None:
            wait_s = limits.headers_timeout_s if reader.in_head else limits.keep_alive_timeout_s
        elif reader.in_body and not self._held and not self._body_paused:
            wait_s = limits.body_idle_timeout_s
            if self._pace is not None:
                wait_s = min(wait_s, self._pace.start(self._listener.now) - self._listener.now)
        self.deadline = self._listener.now + wait_s

    def _await_taking(self) -> None:
        """Give the client time to take some of what waits for it."""
        if self.transport is not None:
            self._taking = Taking(self._listener.limits)
            self.deadline = self._taking.start(self.transport, self._listener.now)

    def _await_parting(self) -> None:
        """Give the client time to take the rest and to close: little, if it has all of it."""
        self._await_taking()
        self.deadline = min(self.deadline, self._listener.now + LINGER_S)

    def _is_keeping_on(self) -> bool:
        """Give more time to a client that does, fast enough, what its deadline was for."""
        listener, look_again_at = self._listener, None
        if self.is_blocked or self._is_broken:
            if self._taking is not None and self.transport is not None:
                look_again_at = self._taking.go_on(self.transport, listener.now)
            listener.slow_readers += look_again_at is None and self.is_blocked
        elif self._pace is not None and self._reader.in_body and self.transport is not None:
            look_again_at = self._pace.go_on(self.transport, listener.now)
            listener.slow_senders += look_again_at is None
        if look_again_at is not None:
            self.deadline = look_again_at
        return look_again_at is not None

    def _may_stay(self, limit: int) -> bool:
        """Count a request, and say whether another one may follow it on this connection."""
        self._requests += 1
        return self._requests < limit

    def abort(self) -> None:
        """Reset the connection, so that a client can tell a break from an end."""
        self._is_broken = True
        self._open_end = None
        if self.transport is not None:
            reset(self.transport)

    def let_go(self) -> bool:
        """Close behind an end, if the kernel has all of it; reset what has not ended, and say so."""
        transport = self.transport
        has_ended = self._is_lingering or (transport is not None and transport.is_closing())
        if transport is None or not has_ended or self._rest > 0:
            self.abort()
            return True
        if self._open_end is not None:
            self._open_end.close()
        transport.abort()
        return False

    @property
    def _rest(self) -> int:
        """Bytes that would be lost if the connection was closed now."""
        assert self.transport is not None
        if self._open_end is None:
            return self.transport.get_write_buffer_size()
        # TLS has a buffer more than it tells of, which is empty if the kernel has nothing to send.
        return waiting(self.transport)

    def reset_unless_finished(self) -> None:
        """Let nothing but `finish` end the connection in order, not even the end of this process."""
        if self.transport is not None:
            self._open_end = OpenEnd(self.transport)

    def leave(self) -> None:
        """Take the client for gone, whether or not the end of what it sends was read."""
        self._is_broken = True
        self._held.clear()
        self._listener.unread.discard(self)
        current, self._current = self._current, None
        if current is not None:
            current.client_gone()
        if self.transport is not None and not self.transport.is_closing():
            self._await_parting()  # what it may still take: it can have closed its own direction only
            self.transport.resume_reading()  # asyncio's TLS does not close while it is paused
            self.transport.close()

    def _update_reading(self) -> None:
        must_pause = self._body_paused or bool(self._held)
        if must_pause == self._is_paused or self.transport is None or self.transport.is_closing():
            return
        self._is_paused = must_pause
        if must_pause:
            self._pause_reading()
        else:
            self._listener.unread.discard(self)
            self.transport.resume_reading()

    def _pause_reading(self) -> None:
        assert self.transport is not None
        self._listener.unread.add(self)
        self.transport.pause_reading()
