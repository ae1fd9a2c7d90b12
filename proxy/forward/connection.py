"""
One connection to an upstream: one request at a time, on the C parser.

Law: a connection goes back to the pool only when both messages are known to have ended and not a
byte is left over; in every other case it is closed. A response that ends early is never passed on
as one that is complete.
"""

import asyncio
import logging

import httptools

from proxy.forward.interfaces import Receiver, Taker
from proxy.forward.reading import MAX_HEAD_BYTES, NEVER, ResponseReading
from proxy.forward.refusing import REFUSALS, tell_end
from proxy.model.decision import Reason
from proxy.model.upstream import Timeouts
from proxy.resetting import said_farewell
from proxy.wire.framing import Framing
from proxy.wire.headers import (
    without_nominated,
)
from proxy.wire.plain_response import PlainHead, read_plain

log = logging.getLogger("rolegate.forward")


class UpstreamConnection(ResponseReading):
    """
    Sends requests and hands each response to its receiver.

    `deadline` is the monotonic second at which the pool's sweep gives up waiting.
    """

    __slots__ = ()

    @property
    def is_open(self) -> bool:
        """Whether a request can still be sent on it, as far as we know."""
        return self.transport is not None and not self.transport.is_closing()

    # The request, called by the forwarder.

    def start(self, receiver: Receiver) -> None:
        """Take `receiver`'s request; its bytes follow by `send`."""
        self._receiver = receiver
        self._request_ended = False
        self._is_complete = False
        self._is_fresh = True
        self._left = 0
        self._framing = None
        self._silent_bytes = 0
        self._timeouts = self._pool.timeouts
        self.deadline = NEVER

    def limit(self, timeouts: Timeouts) -> None:
        """Let `timeouts` hold for this request."""
        self._timeouts = timeouts

    def send(self, data: bytes) -> None:
        """Send bytes of the request."""
        if self.transport is not None:
            self.transport.write(data)
            if self._framing is not None:
                self._set_deadline()  # it answers while it reads, and it reads

    def end_request(self) -> None:
        """Note that the request is sent whole; from now on the upstream owes the response."""
        self._request_ended = True
        self._set_deadline()

    def pause(self) -> None:
        """Stop reading: the client does not keep up."""
        self._is_paused = True
        self._set_deadline()
        if self.transport is not None:
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._is_paused = False
        self._set_deadline()
        if self.transport is not None:
            self.transport.resume_reading()

    def expect_switch(self) -> None:
        """Take a 101 for an answer; whatever comes, this was the last request on this connection."""
        self._may_switch = True

    def hand_over(self, taker: Taker) -> None:
        """Give up the connection to `taker`; only its end is still ours to know."""
        transport, ahead = self.transport, self._ahead
        assert transport is not None
        self._receiver = None
        self._ahead = b""
        self.deadline = NEVER
        transport.pause_reading()
        taker.take(transport, ahead, is_blocked=self._is_blocked, on_lost=self.connection_lost)

    def abort(self) -> None:
        """Drop the connection at once; nothing more reaches the receiver."""
        self._receiver = None
        self._close()

    def expire(self) -> None:
        """Give up on an upstream that let its deadline pass."""
        if self._receiver is None:
            self._close()
        else:
            self._fail(Reason.UPSTREAM_TIMEOUT)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio.Protocol
        self.transport = transport  # type: ignore[assignment]  # a stream transport, by the way it was made

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio.Protocol
        receiver = self._receiver
        if receiver is None:
            # Bytes that nobody asked for would be read as the answer to the next request.
            self._close()
            return
        try:
            if self._left:
                self._pass_on(receiver, data)
            elif not self._is_fresh or receiver.method == "HEAD" or (head := read_plain(data)) is None:
                self._is_fresh = False
                self._silent_bytes += len(data)
                self._feed(data)
            else:
                self._begin_plain(receiver, head, data)
        except Exception:
            # The boundary of the request: a fault of ours is not the upstream's, and leaves nobody waiting.
            log.exception("passing on a response failed")
            self._fail(Reason.INTERNAL_ERROR)

    def _begin_plain(self, receiver: Receiver, head: PlainHead, data: bytes) -> None:
        """Hand on an everyday response, which the parser does not need to see."""
        length = head.content_length
        self._is_fresh = False
        self._status = head.status
        self._framing = Framing.LENGTH if length else Framing.NONE
        self._left = length
        receiver.response_head(head.status, head.phrase, head.lines, self._framing, length)
        self._pass_on(receiver, data[head.size :])

    def _pass_on(self, receiver: Receiver, data: bytes) -> None:
        """Hand on a piece of the body of an everyday response, whose end is counted."""
        left = self._left - len(data)
        self._left = max(left, 0)
        if left < 0:
            # Bytes too many: the response stands, and the connection is not used again.
            data = data[:left]
        if data and self._receiver is not None:
            receiver.response_body(data)
        if self._receiver is None:
            return  # it was dropped meanwhile
        if left > 0:
            self._set_deadline()
            receiver.response_flush()
        else:
            self._can_reuse = left == 0
            self._finish(receiver)

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            self._ahead = bytes(data[switch.args[0] :])
            self._switch()
            return
        except httptools.HttpParserError as error:
            if error.__context__ is not None and not isinstance(error.__context__, REFUSALS):
                raise
            # After a complete response this is only bytes too many: the response stands.
            if not self._is_complete:
                self._fail(Reason.UPSTREAM_MALFORMED)
                return
            self._can_reuse = False
        receiver = self._receiver
        if receiver is None:
            return  # it was dropped meanwhile, from within the parser's callbacks
        if self._is_complete:
            if receiver.method == "HEAD" and not data.endswith(b"\n"):
                self._can_reuse = False  # the beginning of a chunk's size, which no event tells
            self._finish(receiver)
        elif self._silent_bytes > MAX_HEAD_BYTES:
            # A header line, a trailer or a chunk extension without end, or interim responses.
            self._fail(Reason.UPSTREAM_MALFORMED)
        else:
            if self._framing is not None:
                self._set_deadline()
            receiver.response_flush()

    def eof_received(self) -> bool:  # noqa: D102 - asyncio.Protocol
        tls = None if self.transport is None else self.transport.get_extra_info("ssl_object")
        self._saw_eof = tls is None or said_farewell(tls)
        return False

    def connection_lost(self, error: Exception | None) -> None:  # noqa: D102 - asyncio.Protocol
        self.transport = None
        del self._parser  # it holds on to this connection and would keep both alive
        receiver, self._receiver = self._receiver, None
        self._pool.forget(self)
        if receiver is None:
            return
        if error is None and self._saw_eof and self._framing is Framing.UNTIL_CLOSE:
            tell_end(receiver)
        else:
            # Closed between two requests, and we could not know yet when we sent the second.
            is_stale = self._status != 0 and self._framing is None and self._silent_bytes == 0
            self._pool.failed(receiver, Reason.UPSTREAM_RESET, was_sent=True, is_stale=is_stale)

    def pause_writing(self) -> None:  # noqa: D102 - asyncio.Protocol
        self._is_blocked = True
        self._set_deadline()
        if self._receiver is not None:
            self._receiver.upstream_blocked()

    def resume_writing(self) -> None:  # noqa: D102 - asyncio.Protocol
        self._is_blocked = False
        if self._receiver is not None:
            self._set_deadline()
            self._receiver.upstream_writable()

    def _set_deadline(self) -> None:
        """Give the present state its deadline; where there is none, the client's connection has one."""
        timeouts = self._timeouts
        if self._is_blocked:
            wait_s = timeouts.body_idle_s
        elif self._is_paused:
            wait_s = NEVER
        elif self._framing is not None:
            wait_s = timeouts.body_idle_s
        else:
            wait_s = timeouts.response_s if self._request_ended else NEVER
        self.deadline = self._pool.now + wait_s

    # Ends.

    def _switch(self) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        lines = without_nominated(self._lines, self._nominated)
        if not receiver.response_switch(self._phrase, lines, self._named, self):
            self._fail(Reason.UPSTREAM_MALFORMED)
        elif self._pool.standing is not None:
            self._pool.standing.answered(self._status, self._pool.now)

    def _finish(self, receiver: Receiver) -> None:
        self._receiver = None
        if self._pool.standing is not None:
            self._pool.standing.answered(self._status, self._pool.now)
        if receiver.method == "HEAD":
            self._parser = httptools.HttpResponseParser(self)
        is_told = tell_end(receiver)
        is_free = self._request_ended and not (self._is_paused or self._is_blocked or self._may_switch)
        # Only now: it may be lent to the next request at once.
        if is_told and is_free and self._can_reuse:
            self._pool.release(self)
        else:
            self._close()

    def _fail(self, reason: Reason) -> None:
        receiver, self._receiver = self._receiver, None
        self._close()
        if receiver is not None:
            self._pool.failed(receiver, reason, was_sent=True)

    def _close(self) -> None:
        self._pool.forget(self)
        if self.transport is not None:
            self.transport.abort()

    def __repr__(self) -> str:
        state = "idle" if self._receiver is None else "busy"
        return f"<UpstreamConnection {self._pool.upstream.name} {state}>"
