"""
The request on its way to the upstream, and the response on its way back.

Called by the upstream's connection. Nothing here decides: what gets here was allowed, and its
decision is on record.
"""

from typing import Final

from proxy.interfaces import Outbound
from proxy.model.decision import Reason
from proxy.outgoing import EarlyBody, forwarded_lines, head_pieces
from proxy.switching import Switching
from proxy.wire.framing import Framing

# RFC 9110 section 9.2.2, without TRACE, which is never forwarded: twice is the same as once.
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


class Relaying(Switching):
    """A flow between two connections."""

    __slots__ = ()

    # The request goes out.

    def take(self, outbound: Outbound) -> None:
        """Send the request on the connection it was given."""
        block, passage, request = self._block, self._passage, self.request
        assert block is not None
        assert request is not None
        assert passage is not None
        self._waits_for_connection = False
        self._outbound = outbound
        if passage.route.timeouts is not None:
            outbound.limit(passage.route.timeouts)
        if self._client.is_blocked:
            outbound.pause()
        lines = forwarded_lines(self._environment, self._live, request, block, self.identity, self.request_id)
        trace = block.trace_lines(self.request_id, self._span_id)
        parts = head_pieces(passage.route, request, block, trace, lines)
        if passage.route.upgrade:
            self._ask_to_switch(passage.route, parts, outbound)
        if self._early_body is not None:
            parts += self._early_body.take()
            if self._early_body.is_large or self.method not in IDEMPOTENT:
                self._early_body = None
        elif not self._request_complete and self.method in IDEMPOTENT:
            self._early_body = EarlyBody(self._client)  # keeps what follows, so that it can be sent again
        if self._request_complete and self._is_chunked_in:
            parts.append(self._last_chunk)
        outbound.send(b"".join(parts))
        if self._request_complete:
            outbound.end_request()

    @property
    def affinity(self) -> bytes:
        """The identity, or the address of a client without one."""
        identity = self.identity
        key = self.client_address if identity is None else f"{identity.issuer}\0{identity.subject}"
        return key.encode("utf-8", "surrogatepass")

    @property
    def is_replayable(self) -> bool:
        """Whether the request can be sent a second time: safely, whole, and before any response."""
        return (
            self.method in IDEMPOTENT
            and self.status == 0
            and not self._reply.has_spoken
            and (self.bytes_in == 0 or self._early_body is not None)
        )

    def take_back(self) -> None:
        """Wait for another connection; what was sent on the last one came to nothing."""
        outbound, self._outbound = self._outbound, None
        self._waits_for_connection = True
        if outbound is not None and not self._request_complete:
            self._client.resume_request()  # the upstream that had it wait is gone

    def upstream_blocked(self) -> None:
        """Hold the request body back: the upstream does not keep up."""
        self._client.pause_request()

    def upstream_writable(self) -> None:
        """Let the request body come on."""
        self._client.resume_request()

    # The response comes back, called by the upstream's connection.

    def interim_response(self, status: int, phrase: bytes, lines: list[bytes]) -> None:
        """Pass on a 1xx response; a 100 only to a client that waits for it."""
        if status != 100 or (self._block is not None and self._block.expects_continue):
            self._reply.interim(status, phrase, lines)

    def response_head(
        self, status: int, phrase: bytes, lines: list[bytes], framing: Framing, content_length: int | None
    ) -> None:
        """Pass on the head of the response."""
        self.status = status
        if not self._request_complete or self._environment.is_draining:
            # What is left of the request would be read as the next one.
            self._reply.keep_alive = False
        if self._limit_lines:
            lines = [*lines, self._limit_lines]
        self._reply.head(status, phrase, lines, framing, content_length, self.request_id)

    def response_body(self, data: bytes) -> None:
        """Pass on a piece of the response's body."""
        self.bytes_out += len(data)
        self._reply.body(data)

    def response_trailer(self, name: bytes, value: bytes) -> None:
        """Pass on a trailer, behind the body."""
        self._reply.trailer(name, value)

    def response_flush(self) -> None:
        """Send on what came together."""
        self._reply.flush()

    def response_end(self) -> None:
        """Finish: the response is complete."""
        self._outbound = None
        self._reply.end()
        self.reason = Reason.COMPLETED
        self._finish()

    def response_failed(self, reason: Reason) -> None:
        """Finish without a response, or without the rest of it."""
        self._outbound = None
        self._waits_for_connection = False
        self._fail(reason)

    def _let_go(self) -> None:
        if self._waits_for_connection and self._passage is not None:
            self._passage.forwarder.cancel(self)
        self._waits_for_connection = False
        outbound, self._outbound = self._outbound, None
        if outbound is not None:
            outbound.abort()
