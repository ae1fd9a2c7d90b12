"""
One connection to an upstream: one request at a time, on the C parser.

Law: a connection goes back to the pool only when both messages are known to have ended and not a
byte is left over; in every other case it is closed. A response that ends early is never passed on
as one that is complete.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

import httptools

from proxy.forward.interfaces import Receiver, Taker
from proxy.model.decision import Reason
from proxy.wire.framing import Framing, response_framing
from proxy.wire.headers import EVERYDAY_CONNECTION, keep_in_response, normal_name, without_nominated
from proxy.wire.trailers import passes_down

if TYPE_CHECKING:
    from proxy.forward.pool import Pool

log = logging.getLogger("rolegate.forward")

# An upstream that sends more header lines or bytes than this is broken or hostile.
MAX_HEADER_COUNT = 256
MAX_HEAD_BYTES = 128 * 1024

# Each trailer counts for so many bytes of a head more than it has, which bounds how many there are.
TRAILER_COST = 1024

NEVER = float("inf")


class UpstreamConnection(asyncio.Protocol):
    """
    Sends requests and hands each response to its receiver.

    `deadline` is the monotonic second at which the pool's sweep gives up waiting.
    """

    __slots__ = (
        "_ahead",
        "_can_reuse",
        "_content_length",
        "_framing",
        "_head_bytes",
        "_is_blocked",
        "_is_complete",
        "_is_paused",
        "_lines",
        "_may_switch",
        "_named",
        "_nominated",
        "_parser",
        "_phrase",
        "_pool",
        "_receiver",
        "_request_ended",
        "_silent_bytes",
        "_status",
        "_transfer_encodings",
        "deadline",
        "transport",
    )

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self.transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._request_ended = True
        self._ahead = b""
        self.deadline = NEVER
        self._phrase = b""
        self._lines: list[bytes] = []
        self._nominated: set[bytes] = set()
        self._content_length: int | None = None
        self._transfer_encodings: list[bytes] = []
        self._head_bytes = 0
        self._framing: Framing | None = None
        self._is_blocked = False
        self._is_complete = False
        self._is_paused = False
        self._may_switch = False
        self._named: list[bytes] = []
        self._can_reuse = False
        self._silent_bytes = 0
        self._status = 0

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
        self._framing = None
        self._silent_bytes = 0
        self.deadline = NEVER

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
        if self._receiver is None:
            # Bytes that nobody asked for would be read as the answer to the next request.
            self._close()
            return
        self._silent_bytes += len(data)
        try:
            self._feed(data)
        except Exception:
            # The boundary of the request: a fault of ours is not the upstream's, and leaves nobody waiting.
            log.exception("passing on a response failed")
            self._fail(Reason.INTERNAL_ERROR)

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            self._ahead = bytes(data[switch.args[0] :])
            self._switch()
            return
        except httptools.HttpParserError as error:
            if error.__context__ is not None and not isinstance(error.__context__, ResponseRefused):
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
            self._finish(receiver)
        elif self._silent_bytes > MAX_HEAD_BYTES:
            # A header line, a trailer or a chunk extension without end, or interim responses.
            self._fail(Reason.UPSTREAM_MALFORMED)
        else:
            if self._framing is not None:
                self._set_deadline()
            receiver.response_flush()

    def eof_received(self) -> bool:  # noqa: D102 - asyncio.Protocol
        return False

    def connection_lost(self, error: Exception | None) -> None:  # noqa: D102 - asyncio.Protocol
        self.transport = None
        del self._parser  # it holds on to this connection and would keep both alive
        receiver, self._receiver = self._receiver, None
        self._pool.forget(self)
        if receiver is None:
            return
        if error is None and self._framing is Framing.UNTIL_CLOSE:
            _tell_end(receiver)
        else:
            self._pool.count(Reason.UPSTREAM_RESET)
            receiver.response_failed(Reason.UPSTREAM_RESET)

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
        upstream = self._pool.upstream
        if self._is_blocked:
            wait_s = upstream.body_idle_timeout_s
        elif self._is_paused:
            wait_s = NEVER
        elif self._framing is not None:
            wait_s = upstream.body_idle_timeout_s
        else:
            wait_s = upstream.response_timeout_s if self._request_ended else NEVER
        self.deadline = self._pool.now + wait_s

    # The parser's events.

    def on_message_begin(self) -> None:
        """A response begins; a second one for the same request is not ours to pass on."""
        if self._is_complete:
            raise ResponseRefused
        self._begin_head()

    def on_status(self, phrase: bytes) -> None:
        """Take the reason phrase, or a part of it."""
        self._phrase += phrase

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header line, or one trailer."""
        if self._framing is not None:
            self._take_trailer(name, value)
            return
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > MAX_HEAD_BYTES or len(self._lines) > 4 * MAX_HEADER_COUNT:
            raise ResponseRefused
        if keep_in_response(name):
            self._lines += (name, b": ", value, b"\r\n")
            return
        lowered = name.lower()
        if lowered == b"content-length":
            self._content_length = int(value)
        elif lowered == b"transfer-encoding":
            self._transfer_encodings.append(value.strip(b" \t").lower())
        elif lowered == b"upgrade":
            self._named.append(value)
        elif lowered == b"connection" and value not in EVERYDAY_CONNECTION:
            self._nominated.update(normal_name(token.strip(b" \t")) for token in value.split(b","))

    def _take_trailer(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + TRAILER_COST
        if self._is_complete or self._receiver is None or self._head_bytes > MAX_HEAD_BYTES + TRAILER_COST:
            raise ResponseRefused
        if passes_down(name, self._nominated):
            self._receiver.response_trailer(name, value)

    def on_headers_complete(self) -> None:
        """Hand on the head, an interim one or the final one."""
        receiver = self._receiver
        if receiver is None or self._is_complete:
            raise ResponseRefused
        status = self._status = self._parser.get_status_code()
        lines = without_nominated(self._lines, self._nominated) if self._nominated else self._lines
        if status < 200:
            if status < 100 or (status == 101 and not self._can_switch):
                raise ResponseRefused
            if status == 101:
                return  # the parser stops behind it
            receiver.interim_response(status, self._phrase, lines)
            return
        encodings = self._transfer_encodings
        framing = response_framing(receiver.method, status, encodings, self._content_length)
        if framing is None or (encodings and self._parser.get_http_version() == "1.0"):
            # RFC 9112 section 6.1: HTTP/1.0 has no chunks, somebody in between has mixed things up.
            raise ResponseRefused
        self._framing = framing
        self._silent_bytes = 0
        receiver.response_head(status, self._phrase, lines, framing, self._content_length)
        if receiver.method == "HEAD":
            self._end_without_body()

    def on_body(self, data: bytes) -> None:
        """Hand on a piece of the body."""
        if self._is_complete or self._receiver is None:
            raise ResponseRefused
        self._silent_bytes = 0
        self._receiver.response_body(data)

    def on_message_complete(self) -> None:
        """Note the end of the final response."""
        if self._status >= 200:
            self._is_complete = True
            self._can_reuse = self._parser.should_keep_alive()  # the parser forgets once it goes on

    # Ends.

    @property
    def _can_switch(self) -> bool:
        """Whether a 101 is one as far as HTTP goes: asked for, with the right Connection, without a body."""
        has_body = bool(self._content_length or self._transfer_encodings)
        return self._may_switch and self._request_ended and self._parser.should_upgrade() and not has_body

    def _switch(self) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        lines = without_nominated(self._lines, self._nominated)
        if not receiver.response_switch(self._phrase, lines, self._named, self):
            self._fail(Reason.UPSTREAM_MALFORMED)

    def _begin_head(self) -> None:
        self._phrase = b""
        self._lines = []
        self._nominated = set()
        self._named = []
        self._content_length = None
        self._transfer_encodings = []
        self._head_bytes = 0

    def _end_without_body(self) -> None:
        # llhttp does not know that this answers a HEAD and waits for the body that the length
        # announces; a fresh parser reads the next response.
        self._is_complete = True
        self._can_reuse = self._parser.should_keep_alive()

    def _finish(self, receiver: Receiver) -> None:
        self._receiver = None
        if receiver.method == "HEAD":
            self._parser = httptools.HttpResponseParser(self)
        is_told = _tell_end(receiver)
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
            self._pool.count(reason)
            receiver.response_failed(reason)

    def _close(self) -> None:
        self._pool.forget(self)
        if self.transport is not None:
            self.transport.abort()

    def __repr__(self) -> str:
        state = "idle" if self._receiver is None else "busy"
        return f"<UpstreamConnection {self._pool.upstream.name} {state}>"


def _tell_end(receiver: Receiver) -> bool:
    """Tell the receiver that its response is complete; False if it could not do its part."""
    try:
        receiver.response_end()
    except Exception:
        # The boundary of the request: nobody else would tell its client, and nobody else is to suffer.
        log.exception("ending a response failed")
        receiver.response_failed(Reason.INTERNAL_ERROR)
        return False
    return True


class ResponseRefused(Exception):  # noqa: N818 - it stops the parser, it is no error
    """The upstream's response is not one that we pass on; raised inside the parser's callbacks only."""
