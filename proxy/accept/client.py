"""
One client connection: requests handed on one at a time, responses out, in order.

Law: one request is answered at a time; what a client pipelines behind it waits unread or held, and
each request is judged on its own head. Once the bytes cannot be read in one way only, or the
connection is about to close, nothing more is read. Every state has a deadline, here or with the
upstream, which the sweeps enforce; a client that does not take its response cannot move its own.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from proxy.accept.closing import close_in_one, end_sending
from proxy.accept.familiar import Familiar, familiar
from proxy.accept.interfaces import PeerOf, Taker
from proxy.accept.patience import LINGER_S, NEVER, Patience
from proxy.accept.pipelining import MAX_PIPELINED, Event
from proxy.accept.reading import Problem, RequestReader, RequestRefused
from proxy.model.decision import Reason
from proxy.model.request import Headers
from proxy.wire.reading import HeaderBlock

if TYPE_CHECKING:
    from proxy.accept.listener import Listener

log = logging.getLogger("rolegate.accept")

# After a refusal the client may still be sending; so much is thrown away before the reset.
MAX_LINGER_BYTES: Final = 1024 * 1024

CLOSING: Final[Problem] = (Reason.MALFORMED_REQUEST, "nothing more is read on this connection")


class ClientConnection(Patience):
    """
    Reads requests, hands each to an exchange, and writes what the exchange answers.

    The listener's sweep calls `expire` at `deadline`.
    """

    __deletable__ = ("_peer_of",)  # for the compiler
    __slots__ = ("_peer_of",)

    def __init__(self, listener: "Listener", peer_of: PeerOf) -> None:
        super().__init__(listener)
        self._peer_of = peer_of
        self._reader = RequestReader(listener.limits, self)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio.Protocol
        self.transport = transport  # type: ignore[assignment]  # a stream transport, by the way it was made
        self._peer = self._peer_of(transport)
        del self._peer_of  # who introduced us goes now, and not in a cycle with us later
        self.deadline = self._listener.now + self._listener.limits.headers_timeout_s
        self._listener.add(self, self._peer.address)

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio.Protocol
        if self._is_broken:
            self._discard(data)
            return
        if self._familiar is not None and self._is_familiar(data, self._familiar):
            return
        reader = self._reader
        was_in_head, was_in_body = reader.in_head, reader.in_body
        problem = reader.feed(data)
        begun, self._begun = self._begun, None
        if problem is not None:
            self._stop_reading(*problem)
        elif begun is not None and not was_in_head and not was_in_body:
            self._familiar = familiar(data, *begun)
        elif reader.in_head and not was_in_head and self._current is None:
            # Not for each piece, and not for empty lines: both could be sent for ever.
            self._set_deadline()

    def eof_received(self) -> bool:  # noqa: D102 - asyncio.Protocol
        # A half-closed connection looks like a client that left, and is taken for one.
        if self._current is not None:
            self.leave()
        return False

    def connection_lost(self, error: Exception | None) -> None:  # noqa: D102, ARG002 - asyncio.Protocol
        if self._open_end is not None:
            self._open_end.close()
        self._is_broken = True
        self.transport = None
        self._held.clear()
        self._reader.close()
        self._listener.remove(self, self._peer.address)
        current, self._current = self._current, None
        if current is not None:
            current.client_gone()

    def pause_writing(self) -> None:  # noqa: D102 - asyncio.Protocol
        self.is_blocked = True
        self._await_taking()
        if self._current is not None:
            self._current.client_blocked()

    def resume_writing(self) -> None:  # noqa: D102 - asyncio.Protocol
        self.is_blocked = False
        if self._is_lingering:
            self.deadline = self._listener.now + LINGER_S
        elif self._current is not None:
            self._set_deadline()
            self._current.client_writable()
        elif self.transport is not None and not self.transport.is_closing():
            self._go_on()

    # What was read, called by the reader.

    def head(self, method: str, target: bytes, version: str, headers: Headers, keep_alive: bool) -> None:
        """Begin the request, or hold it until its turn comes."""
        if self._is_broken:
            raise RequestRefused(*CLOSING)
        if self._current is None and not self._held and not self.is_blocked:
            block = self._begin(method, target, version, headers, keep_alive)
            self._begun = None if block is None else (headers, block)
            return
        if self._held.requests >= MAX_PIPELINED:
            problem = (Reason.MALFORMED_REQUEST, f"no more than {MAX_PIPELINED} requests can wait their turn")
            self._is_broken = True
            self._hold(Event.REFUSE, *problem, target)
            raise RequestRefused(*problem)
        self._hold(Event.BEGIN, method, target, version, headers, keep_alive)

    def body(self, data: bytes) -> None:
        """Hand a piece of the body on."""
        if self._is_broken:
            raise RequestRefused(*CLOSING)
        if self._held:
            self._hold(Event.BODY, data)
        elif self._current is not None:
            if not self._body_paused and not self.is_blocked:
                self.deadline = self._listener.now + self._listener.limits.body_idle_timeout_s
                if self._pace is not None:
                    self.deadline = min(self.deadline, self._pace.count(len(data)))
            self._current.body(data)

    def trailer(self, name: bytes, value: bytes) -> None:
        """Hand on a field that came behind the body."""
        if self._is_broken:
            raise RequestRefused(*CLOSING)
        if self._held:
            self._hold(Event.TRAILER, name, value)
        elif self._current is not None:
            self._current.trailer(name, value)

    def end(self) -> None:
        """Note the end of the request."""
        if self._is_broken:
            raise RequestRefused(*CLOSING)
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
        self._set_deadline()
        self._update_reading()

    def resume_request(self) -> None:
        """Read on."""
        self._body_paused = False
        self._set_deadline()
        self._update_reading()

    def finish(self, *, keep_alive: bool) -> None:
        """Go on with the next request, or close."""
        self._current = None
        self._body_paused = False
        if self._open_end is not None:
            self._open_end.finish()
        if keep_alive:
            self._go_on()
        else:
            self._close(is_unasked=not self._reader.is_final)

    @property
    def asks_to_switch(self) -> bool:
        """Whether the request at hand asks for another protocol; nothing behind it is read as HTTP."""
        # One that is held may be what asks; the one before it does not.
        return self._reader.ahead is not None and not self._held

    def hand_over(self, taker: Taker) -> None:
        """Give up the connection to `taker`; only its end is still ours to know."""
        transport, ahead = self.transport, self._reader.ahead
        assert transport is not None
        assert ahead is not None
        self._reader.ahead = bytearray()
        self._current = None
        self.deadline = NEVER
        transport.pause_reading()
        self._listener.unread.discard(self)
        taker.take(transport, bytes(ahead), is_blocked=self.is_blocked, on_lost=self.connection_lost)

    # Called by the listener.

    @property
    def is_idle(self) -> bool:
        """Whether no request and no response is under way."""
        return self._current is None and not (
            self._held or self._reader.in_head or self._is_lingering or self.is_blocked or self.asks_to_switch
        )

    def drain(self) -> None:
        """Close if idle; otherwise what is under way ends first."""
        if self.is_idle:
            self._close()

    def expire(self) -> None:
        """Give up on a client that let its deadline pass."""
        current = self._current
        if self._is_keeping_on():
            return
        self.deadline = self._listener.now + LINGER_S
        if self._is_lingering and not self.is_blocked and close_in_one(self.transport):
            return
        if self.is_blocked or self._is_broken:
            self.let_go()
        elif current is not None:
            self._is_broken = True
            current.request_failed(Reason.REQUEST_TIMEOUT, "the rest of the request did not come in time")
        elif self._reader.in_head:
            self._stop_reading(Reason.REQUEST_TIMEOUT, "the headers did not come in time")
        else:
            self._close()

    # Inside.

    def _begin(
        self, method: str, target: bytes, version: str, headers: Headers, keep_alive: bool
    ) -> HeaderBlock | None:
        limits = self._listener.limits
        self.deadline = self._listener.now + limits.body_idle_timeout_s
        if self._pace is not None:
            self.deadline = min(self.deadline, self._pace.start(self._listener.now))
        if limits.max_requests_per_connection is not None:
            keep_alive = self._may_stay(limits.max_requests_per_connection) and keep_alive
        current = self._current = self._listener.exchanges.open(self, self._peer)
        return current.begin(method, target, version, headers, keep_alive=keep_alive)

    def _is_familiar(self, data: bytes, known: Familiar) -> bool:
        """Begin the request if it came whole and its header lines are those of one before it."""
        if self._current is not None or self._held or self.is_blocked or not self._reader.may_skip:
            return False
        found = known.request_line(data, self._reader.limits.max_target_bytes)
        if found is None:
            return False
        method, target = found
        limit = self._listener.limits.max_requests_per_connection
        stays = limit is None or self._may_stay(limit)
        current = self._current = self._listener.exchanges.open(self, self._peer)
        self.deadline = NEVER
        try:
            lines, before = known.headers, known.block
            block = current.begin(method, target, "1.1", lines, keep_alive=stays, familiar=before)
            known.block = block or before  # another one where a new configuration had the lines read anew
        except Exception:  # the boundary of the connection, as where the parser calls
            log.exception("a request could not begin")
            self._give_up()
        return True

    def _end(self) -> None:
        if not self.is_blocked:
            self.deadline = NEVER
        if self._current is not None:
            self._current.end()

    def _hold(self, event: Event, *arguments: object) -> None:
        self._held.hold(event, *arguments)
        self._update_reading()

    def _go_on(self) -> None:
        """Go on behind a response: with what is held, with what comes, or not at all."""
        if not self._held and (self._is_broken or self._listener.is_draining):
            self._close(is_unasked=True)
            return
        self._set_deadline()
        if not self._held and not self._is_paused:
            return
        try:
            self._advance()
        except Exception:
            # The boundary of the connection: a fault of ours must not leave the next request hanging.
            log.exception("going on with a held request failed")
            self._give_up()

    def _advance(self) -> None:
        """Go through what was held, up to the next request that has to wait for its turn."""
        while self._held and not (self._held.starts_next and (self._current is not None or self.is_blocked)):
            self._replay(*self._held.take())
        self._update_reading()

    def _replay(self, event: Event, arguments: tuple[Any, ...]) -> None:  # Any: as they were held
        if event is Event.BEGIN:
            self._begin(*arguments)
        elif event is Event.REFUSE:
            self._refuse(*arguments)
        elif event is Event.END:
            self._end()
        elif self._current is not None and event is Event.BODY:
            self._current.body(*arguments)
        elif self._current is not None and event is Event.TRAILER:
            self._current.trailer(*arguments)
        elif self._current is not None:
            self._current.request_failed(*arguments)

    def _give_up(self) -> None:
        self._is_broken = True
        self._held.clear()
        if self._current is None:
            self.abort()
        else:
            self._current.request_failed(Reason.INTERNAL_ERROR)

    def _stop_reading(self, reason: Reason, detail: str) -> None:
        """Refuse what cannot be read; what came before it is still answered."""
        if self._is_broken:
            return  # the connection is about to close; there is nobody to tell
        self._is_broken = True
        reader = self._reader
        if reader.in_body:
            if self._held:
                self._hold(Event.FAIL, reason, detail)
            elif self._current is not None:
                self._current.request_failed(reason, detail)
            return
        if reader.is_final and not reader.in_head:
            return
        if self._current is None and not self._held:
            self._refuse(reason, detail, reader.target)
        else:
            self._hold(Event.REFUSE, reason, detail, reader.target)

    def _refuse(self, reason: Reason, detail: str, target: bytes) -> None:
        current = self._current = self._listener.exchanges.open(self, self._peer)
        self.deadline = NEVER
        current.refuse(reason, detail, target)

    def _discard(self, data: bytes) -> None:
        if self._reader.ahead is not None:
            if self._reader.keep_ahead(data) and self.transport is not None:
                self._is_paused = True
                self._pause_reading()
            return
        self._discarded_bytes += len(data)
        if self._discarded_bytes <= MAX_LINGER_BYTES or self.transport is None:
            return
        if self._is_lingering:
            self.abort()
        else:
            self._pause_reading()

    def _close(self, *, is_unasked: bool = False) -> None:
        """Close once all is sent, and, if the client may still be sending, once it had time to read why."""
        reader = self._reader
        was_cut_short = reader.in_body or reader.in_head or self._is_broken or bool(self._held)
        self._is_broken = True
        self._held.clear()
        reader.ahead = None
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        self._await_parting()
        if not was_cut_short and not (is_unasked and transport.can_write_eof()):
            transport.close()
            return
        self._is_lingering = True
        if not end_sending(transport):
            self.abort()  # the client is gone, and the loop will hear of it later
            return
        self._update_reading()

    def __repr__(self) -> str:
        state = "idle" if self.is_idle else "busy"
        return f"<ClientConnection {self._peer.address} {state}>"
