"""
One client connection on the C parser: heads and bodies in, responses out, in order.

Law: one request is answered at a time; what a client pipelines behind it waits unread or held, and
each request is judged on its own head. Once the bytes cannot be read in one way only, nothing more
is read. Every state has a deadline, which the listener's sweep enforces.
"""

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any

import httptools

from proxy.accept.interfaces import Exchange
from proxy.accept.pipelining import Event, HeldEvents
from proxy.model.decision import Reason
from proxy.model.request import Headers
from proxy.wire.framing import has_plain_request_line

if TYPE_CHECKING:
    from proxy.accept.listener import Listener

NEVER = float("inf")

# One read of 256 KiB holds thousands of small requests; a client that pipelines more is not answered faster.
MAX_PIPELINED = 64

# After a refusal the client may still be sending; so much, and so long, is thrown away before the reset.
LINGER_S = 2.0
MAX_LINGER_BYTES = 1024 * 1024

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class RequestRefused(Exception):  # noqa: N818 - it stops the parser, it is no error
    """Stops the parser from within its callbacks; the reason is noted beforehand."""


class ClientConnection(asyncio.Protocol):
    """
    Reads requests, hands each to an exchange, and writes what the exchange answers.

    `deadline` is the monotonic second at which the listener's sweep calls `expire`; `is_blocked`
    says that the client does not take its response.
    """

    __slots__ = (
        "_body_paused",
        "_carry",
        "_chunk",
        "_current",
        "_head_bytes",
        "_headers",
        "_held",
        "_in_body",
        "_in_head",
        "_is_broken",
        "_is_final",
        "_is_lingering",
        "_is_paused",
        "_lingered_bytes",
        "_listener",
        "_parser",
        "_peer",
        "_raw",
        "_refusal",
        "_target",
        "deadline",
        "is_blocked",
        "transport",
    )

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self._parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self._peer = ""
        self._current: Exchange | None = None
        self._held = HeldEvents()
        self._headers: Headers = []
        self._head_bytes = 0
        self._target = b""
        self._raw: bytes | bytearray = b""
        self._chunk = b""
        self._carry = bytearray()
        self._refusal: tuple[Reason, str] | None = None
        self._in_head = False
        self._in_body = False
        self._is_broken = False
        self._is_final = False
        self._is_lingering = False
        self._lingered_bytes = 0
        self._is_paused = False
        self._body_paused = False
        self.is_blocked = False
        self.deadline = NEVER

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio.Protocol
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]  # uvloop's is no asyncio.Transport by name
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else "unix"
        self.deadline = self._listener.now + self._listener.limits.headers_timeout_s
        self._listener.add(self)

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio.Protocol
        if self._is_broken:
            self._discard(data)
            return
        self._chunk = data
        if self._in_head:
            self._carry += data
            self._raw = self._carry
        else:
            self._raw = data
            if not self._in_body and self._current is None:
                self.deadline = self._listener.now + self._listener.limits.headers_timeout_s
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The upgrade is not taken; the request was answered as it is, and is the last one.
            self._is_broken = True
        except httptools.HttpParserCallbackError:
            self._stop_reading(*self._what_was_refused())
        except httptools.HttpParserError as error:
            self._stop_reading(Reason.MALFORMED_REQUEST, f"the request is not valid HTTP: {error}")
        else:
            self._note_unfinished_head()

    def eof_received(self) -> bool:  # noqa: D102 - asyncio.Protocol
        # A half-closed connection looks like a client that left, and is taken for one.
        return False

    def connection_lost(self, error: Exception | None) -> None:  # noqa: D102, ARG002 - asyncio.Protocol
        self._is_broken = True
        self._held.clear()
        self._listener.remove(self)
        current, self._current = self._current, None
        if current is not None:
            current.client_gone()

    def pause_writing(self) -> None:  # noqa: D102 - asyncio.Protocol
        self.is_blocked = True
        self.deadline = self._listener.now + self._listener.limits.write_idle_timeout_s
        if self._current is not None:
            self._current.client_blocked()

    def resume_writing(self) -> None:  # noqa: D102 - asyncio.Protocol
        self.is_blocked = False
        if self._current is not None:
            self.deadline = NEVER
            self._current.client_writable()
        elif not self._is_broken:
            self._advance()

    # The parser's events.

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._in_head = True
        self._headers = []
        self._head_bytes = 0
        self._target = b""

    def on_url(self, target: bytes) -> None:
        """Take the request target, or a part of it."""
        self._target += target
        if len(self._target) > self._listener.limits.max_target_bytes:
            self._refuse(
                Reason.TARGET_TOO_LONG, f"the limit is {self._listener.limits.max_target_bytes} bytes"
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header line; a trailer is dropped: merged into the headers it could pose as one."""
        if not self._in_head:
            return
        self._headers.append((name, value))
        self._head_bytes += len(name) + len(value) + 4
        limits = self._listener.limits
        if self._head_bytes > limits.max_header_bytes or len(self._headers) > limits.max_header_count:
            self._refuse(
                Reason.HEADERS_TOO_LARGE,
                f"the limits are {limits.max_header_bytes} bytes and {limits.max_header_count} lines",
            )

    def on_headers_complete(self) -> None:
        """Hand the head on, or hold it until its turn comes."""
        parser = self._parser
        method, version = parser.get_method(), parser.get_http_version()
        if not has_plain_request_line(self._raw, method, self._target, version):
            self._refuse(Reason.MALFORMED_REQUEST, "the request line has to be `method target HTTP/1.1`")
        self._in_head = False
        self._in_body = True
        self._carry = bytearray()
        self._raw = self._chunk
        keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        self._is_final = not keep_alive
        head = (method.decode("ascii"), self._target, version, self._headers, keep_alive)
        if self._current is None and not self._held and not self.is_blocked:
            self._begin(*head)
            return
        if self._held.requests >= MAX_PIPELINED:
            self._refuse(Reason.MALFORMED_REQUEST, f"no more than {MAX_PIPELINED} requests at once")
        self._hold(Event.BEGIN, *head)

    def on_body(self, data: bytes) -> None:
        """Hand a piece of the body on."""
        if self._held:
            self._hold(Event.BODY, data)
        elif self._current is not None:
            if not self._body_paused:
                self.deadline = self._listener.now + self._listener.limits.body_idle_timeout_s
            self._current.body(data)

    def on_message_complete(self) -> None:
        """Note the end of the request."""
        self._in_body = False
        if self._held:
            self._hold(Event.END)
        else:
            self._end()

    # Called by the exchange.

    def write(self, data: bytes) -> None:
        """Send bytes of the response."""
        if self.transport is not None:
            self.transport.write(data)

    def pause_request(self) -> None:
        """Stop reading the body."""
        self._body_paused = True
        self.deadline = NEVER
        self._update_reading()

    def resume_request(self) -> None:
        """Read on."""
        self._body_paused = False
        if self._in_body and self._current is not None:
            self.deadline = self._listener.now + self._listener.limits.body_idle_timeout_s
        self._update_reading()

    def finish(self, *, keep_alive: bool) -> None:
        """Go on with the next request, or close."""
        self._current = None
        self._body_paused = False
        is_last = not self._held and (self._is_broken or self._listener.is_draining)
        if not keep_alive or is_last:
            self._close()
        else:
            self.deadline = self._listener.now + self._listener.limits.keep_alive_timeout_s
            self._advance()

    def abort(self) -> None:
        """Reset the connection, so that a client can tell a break from an end."""
        self._is_broken = True
        if self.transport is None:
            return
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()

    # Called by the listener.

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return self._current is None and not self._held and not self._in_head

    def expire(self) -> None:
        """Give up on a client that let its deadline pass."""
        current = self._current
        self.deadline = self._listener.now + LINGER_S
        if self.is_blocked or self._is_lingering or self._is_broken:
            self.abort()
        elif current is not None:
            self._is_broken = True
            current.request_failed(Reason.REQUEST_TIMEOUT, "the rest of the request did not come in time")
        elif self._in_head:
            self._stop_reading(Reason.REQUEST_TIMEOUT, "the headers did not come in time")
        else:
            self._close()

    # Inside.

    def _begin(self, method: str, target: bytes, version: str, headers: Headers, keep_alive: bool) -> None:
        self.deadline = self._listener.now + self._listener.limits.body_idle_timeout_s
        current = self._current = self._listener.exchanges.open(self, self._peer)
        current.begin(method, target, version, headers, keep_alive=keep_alive)

    def _end(self) -> None:
        self.deadline = NEVER
        if self._current is not None:
            self._current.end()

    def _hold(self, event: Event, *arguments: object) -> None:
        self._held.add(event, *arguments)
        self._update_reading()

    def _advance(self) -> None:
        """Go through what was held, up to the next request that has to wait for its turn."""
        while self._held and not (self._held.starts_next and (self._current is not None or self.is_blocked)):
            self._replay(*self._held.pop())
        self._update_reading()

    def _replay(self, event: Event, arguments: tuple[Any, ...]) -> None:  # Any: as they were held
        if event is Event.BEGIN:
            self._begin(*arguments)
        elif event is Event.REFUSE:
            self._refuse_now(*arguments)
        elif event is Event.END:
            self._end()
        elif self._current is not None and event is Event.BODY:
            self._current.body(*arguments)
        elif self._current is not None:
            self._current.request_failed(*arguments)

    def _update_reading(self) -> None:
        must_pause = self._body_paused or bool(self._held)
        if must_pause == self._is_paused or self.transport is None or self.transport.is_closing():
            return
        self._is_paused = must_pause
        if must_pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _note_unfinished_head(self) -> None:
        if not self._in_head:
            return
        if not self._carry:
            self._carry = bytearray(self._chunk)
        limits = self._listener.limits
        if len(self._carry) > limits.max_header_bytes + limits.max_target_bytes + len(self._chunk):
            self._stop_reading(Reason.HEADERS_TOO_LARGE, f"the limit is {limits.max_header_bytes} bytes")

    def _refuse(self, reason: Reason, detail: str) -> None:
        self._refusal = (reason, detail)
        raise RequestRefused

    def _what_was_refused(self) -> tuple[Reason, str]:
        if self._refusal is not None:
            return self._refusal
        return Reason.INTERNAL_ERROR, ""

    def _stop_reading(self, reason: Reason, detail: str) -> None:
        """Refuse what cannot be read; what came before it is still answered."""
        self._is_broken = True
        if self._in_body:
            if self._held:
                self._hold(Event.FAIL, reason, detail)
            elif self._current is not None:
                self._current.request_failed(reason, detail)
            return
        if self._is_final and not self._in_head:
            return
        if self._current is None and not self._held:
            self._refuse_now(reason, detail, self._target)
        else:
            self._hold(Event.REFUSE, reason, detail, self._target)

    def _refuse_now(self, reason: Reason, detail: str, target: bytes) -> None:
        current = self._current = self._listener.exchanges.open(self, self._peer)
        self.deadline = NEVER
        current.refuse(reason, detail, target)

    def _discard(self, data: bytes) -> None:
        self._lingered_bytes += len(data)
        if self._is_lingering and self._lingered_bytes > MAX_LINGER_BYTES:
            self.abort()

    def _close(self) -> None:
        """Close once all is sent, and, if the client is still sending, once it had time to read why."""
        was_cut_short = self._in_body or self._in_head or self._is_broken
        self._is_broken = True
        self._held.clear()
        if self.transport is None or self.transport.is_closing():
            return
        if not was_cut_short:
            self.deadline = self._listener.now + self._listener.limits.write_idle_timeout_s
            self.transport.close()
            return
        self._is_lingering = True
        self.deadline = self._listener.now + LINGER_S
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._update_reading()

    def __repr__(self) -> str:
        state = "idle" if self.is_idle else "busy"
        return f"<ClientConnection {self._peer} {state}>"
