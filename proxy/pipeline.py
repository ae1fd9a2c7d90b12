"""
One HTTP request from gate to record.

The order is the law: read the target one way, ask the gate, keep the decision record, and only then
send the first byte upstream. With a cached identity and an idle connection nothing is awaited and
no task is made; everything happens in the callbacks of the two connections.
"""

import logging
from time import time

from proxy.environment import Environment
from proxy.errors import RequestError
from proxy.gate import find_passage, judge, judge_slowly
from proxy.interfaces import Client, Counts, Outbound
from proxy.live import Live, Passage
from proxy.model.decision import DENIALS, Decision, Reason
from proxy.model.flow import Flow
from proxy.model.request import Headers
from proxy.outgoing import EarlyBody, head_pieces
from proxy.reply import Reply
from proxy.wire.framing import LAST_CHUNK, Framing, chunk
from proxy.wire.headers import claimed_host
from proxy.wire.reading import Head, read_head

log = logging.getLogger("rolegate.pipeline")

CLIENT_CLOSED_REQUEST = 499  # nginx's number for a client that did not wait; it is never sent


class Pipeline:
    """Sets requests on their way."""

    __slots__ = ("_environment",)

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def open(self, client: Client, peer: str) -> "Exchange":
        """Return the exchange for a request whose head has just come from `peer`."""
        return Exchange(self._environment, client, peer)


class Exchange(Flow):
    """A flow that moves: one request and its response, between two connections."""

    __slots__ = (
        "_client",
        "_detail",
        "_early_body",
        "_early_failure",
        "_environment",
        "_has_ended",
        "_head",
        "_is_chunked_in",
        "_is_on_record",
        "_live",
        "_outbound",
        "_passage",
        "_reply",
        "_request_complete",
        "_span_id",
        "_waits_for_connection",
        "_was_allowed",
        "method",
    )

    def __init__(self, environment: Environment, client: Client, peer: str) -> None:
        request_id, self._span_id = environment.ids.next()
        super().__init__(request_id, peer, environment.clock())
        environment.in_flight += 1
        self._environment = environment
        self._live: Live = environment.holder.current
        self._client = client
        self._reply = Reply(client)
        self._passage: Passage | None = None
        self._outbound: Outbound | None = None
        self._early_body: EarlyBody | None = None
        self._early_failure: Reason | None = None
        self._detail = ""
        self._has_ended = False
        self._head: Head | None = None
        self._is_chunked_in = False
        self._is_on_record = False
        self._request_complete = False
        self._waits_for_connection = False
        self._was_allowed = False
        self.method = ""

    # The request comes in, called by the client's connection.

    def begin(self, method: str, target: bytes, version: str, headers: Headers, *, keep_alive: bool) -> None:
        """Take the head of the request and set out."""
        self.method = method
        self._reply.expect(version, keep_alive=keep_alive)
        live = self._live
        try:
            head = read_head(
                method,
                target,
                version,
                headers,
                rules=live.request_headers,
                peer=self.client_address,
                trusted=live.trusted_proxies,
                trace_id=self.request_id,
                span_id=self._span_id,
            )
        except RequestError as error:
            self.claimed_method = method
            self.claimed_host = claimed_host(headers)
            self.refuse(error.reason, error.detail, target)
            return
        self._head = head
        self._is_chunked_in = head.framing is Framing.CHUNKED
        self.request = head.request
        self.client_address = head.request.client
        self._ask()

    def refuse(self, reason: Reason, detail: str, claimed_target: bytes) -> None:
        """Refuse the request before any policy is asked."""
        self.claimed_target = claimed_target
        self._detail = detail
        self._decide(DENIALS[reason])

    def body(self, data: bytes) -> None:
        """Take a piece of the request's body."""
        if self._has_ended:
            return
        self.bytes_in += len(data)
        if self._passage is not None and self._is_too_large(self._passage):
            self._fail(Reason.BODY_TOO_LARGE)
            return
        framed = chunk(data) if self._is_chunked_in else data
        if self._outbound is not None:
            self._outbound.send(framed)
            return
        if self._early_body is None:
            self._early_body = EarlyBody(self._client)
        self._early_body.add(framed)

    def end(self) -> None:
        """Note that the request has come whole."""
        self._request_complete = True
        if self._outbound is not None:
            if self._is_chunked_in:
                self._outbound.send(LAST_CHUNK)
            self._outbound.end_request()

    def client_gone(self) -> None:
        """Stop everything: nobody waits for the response."""
        self._stop(Reason.CLIENT_GONE, CLIENT_CLOSED_REQUEST)

    def request_failed(self, reason: Reason, detail: str = "") -> None:
        """Stop because the rest of the request will not come, or not in a form that can be read."""
        self._detail = detail
        self._fail(reason)

    def client_blocked(self) -> None:
        """Hold the response back: the client does not keep up."""
        if self._outbound is not None:
            self._outbound.pause()

    def client_writable(self) -> None:
        """Let the response come on."""
        if self._outbound is not None:
            self._outbound.resume()

    # The decision.

    def _ask(self) -> None:
        request = self.request
        assert request is not None
        self._passage = find_passage(self._live, request)
        identity = None
        if request.credential is not None:
            token = request.credential.unverified_token
            found = self._live.identities.find(token, time())
            if found is None:
                self._environment.tasks.spawn(self._ask_slowly(token), name=f"identify {self.request_id}")
                return
            if isinstance(found, Decision):
                self._decide(found)
                return
            identity = self.identity = found
        self._decide(judge(self._passage, identity, request, time()))

    async def _ask_slowly(self, unverified_token: bytes) -> None:
        """Ask again when the issuer's keys are there, or are known not to come."""
        assert self.request is not None
        identity, decision = await judge_slowly(self._live, self._passage, self.request, unverified_token)
        if self.decision is None:  # else the client left, or its body did not come, while we were asking
            self.identity = identity
            self._decide(decision)

    def _decide(self, decision: Decision) -> None:
        passage = self._passage
        if decision.allowed and passage is not None and self._is_too_large(passage):
            decision = DENIALS[Reason.BODY_TOO_LARGE]
        self.decision = decision
        self.reason = decision.reason
        what = self._live.audit_members(passage, self.identity, decision)
        self._counts().decided(decision.reason)
        self._is_on_record = self._environment.trail.decide(self, what, self)

    def _counts(self) -> Counts:
        return self._live.unrouted_counts if self._passage is None else self._passage.counts

    def _is_too_large(self, passage: Passage) -> bool:
        limit, head = passage.route.max_body_bytes, self._head
        return limit is not None and head is not None and max(head.announced_bytes, self.bytes_in) > limit

    def recorded(self) -> None:
        """Act on the decision: its record is kept."""
        try:
            self._act()
        except Exception:
            # The boundary of the request: nobody else would give the client its answer.
            log.exception("request %s failed", self.request_id)
            self._break_off()

    def _act(self) -> None:
        decision, passage = self.decision, self._passage
        assert decision is not None
        if not decision.allowed:
            self._answer(decision.reason)
            return
        self._was_allowed = True
        if self._has_ended:
            self._record_outcome()
            return
        if self._early_failure is not None:
            self._fail(self._early_failure)
            return
        assert passage is not None
        self.upstream_address = passage.forwarder.address
        self._waits_for_connection = True
        passage.forwarder.acquire(self)

    def not_recorded(self) -> None:
        """Refuse: a request of which no record can be kept is not forwarded."""
        assert self.decision is not None
        # The record may still be kept later; then it has to say that nothing came of it.
        self._was_allowed = self.decision.allowed and self._is_on_record
        if self._has_ended:
            if self._was_allowed:
                self._record_outcome()
            return
        self.reason = Reason.AUDIT_UNAVAILABLE
        self._answer(Reason.AUDIT_UNAVAILABLE)

    # The request goes out.

    def take(self, outbound: Outbound) -> None:
        """Send the request on the connection it was given."""
        head, passage = self._head, self._passage
        assert head is not None
        assert passage is not None
        self._waits_for_connection = False
        self._outbound = outbound
        if self._client.is_blocked:
            outbound.pause()
        parts = head_pieces(self._environment, self._live, passage, head, self.identity, self.request_id)
        if self._early_body is not None:
            parts += self._early_body.take()
            self._early_body = None
        if self._request_complete and self._is_chunked_in:
            parts.append(LAST_CHUNK)
        outbound.send(b"".join(parts))
        if self._request_complete:
            outbound.end_request()

    def upstream_blocked(self) -> None:
        """Hold the request body back: the upstream does not keep up."""
        self._client.pause_request()

    def upstream_writable(self) -> None:
        """Let the request body come on."""
        self._client.resume_request()

    # The response comes back, called by the upstream's connection.

    def interim_response(self, status: int, phrase: bytes, lines: list[bytes]) -> None:
        """Pass on a 1xx response; a 100 only to a client that waits for it."""
        if status != 100 or (self._head is not None and self._head.expects_continue):
            self._reply.interim(status, phrase, lines)

    def response_head(
        self, status: int, phrase: bytes, lines: list[bytes], framing: Framing, content_length: int | None
    ) -> None:
        """Pass on the head of the response."""
        self.status = status
        if not self._request_complete or self._environment.is_draining:
            # What is left of the request would be read as the next one.
            self._reply.keep_alive = False
        self._reply.head(status, phrase, lines, framing, content_length, self.request_id)

    def response_body(self, data: bytes) -> None:
        """Pass on a piece of the response's body."""
        self.bytes_out += len(data)
        self._reply.body(data)

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

    # Ends. Each request ends once, here.

    def _fail(self, reason: Reason) -> None:
        """End with an answer of ours if the client has not yet seen any of the response, else by a reset."""
        if self._has_ended:
            return
        if self.decision is None or not self._was_allowed:
            self._fail_undecided(reason)
            return
        if self._reply.has_begun:
            self._client.abort()
            self._stop(reason, self.status)
            return
        self._let_go()
        self.reason = reason
        self._answer(reason)

    def _break_off(self) -> None:
        """End after a fault of ours, with a 500 if it is not too late for one."""
        if self._was_allowed and not self._has_ended:
            self._fail(Reason.INTERNAL_ERROR)
        else:
            self._client.abort()

    def _fail_undecided(self, reason: Reason) -> None:
        self._reply.keep_alive = False
        if self.decision is None:
            self._decide(DENIALS[reason])
        else:
            self._early_failure = reason  # the decision is being recorded; `recorded` goes on from here

    def _stop(self, reason: Reason, status: int) -> None:
        """End without another byte to the client."""
        if self._has_ended:
            return
        self._has_ended = True
        self._let_go()
        self._environment.in_flight -= 1
        self.reason = reason
        self.status = status
        if self._was_allowed:
            self._record_outcome()
        elif self.decision is None:
            self._decide(DENIALS[reason])

    def _let_go(self) -> None:
        if self._waits_for_connection and self._passage is not None:
            self._passage.forwarder.cancel(self)
        self._waits_for_connection = False
        outbound, self._outbound = self._outbound, None
        if outbound is not None:
            outbound.abort()

    def _answer(self, reason: Reason) -> None:
        """Send our own response, and end."""
        if self._has_ended:
            return
        self.status = self._reply.refuse(
            reason,
            self.request_id,
            self._detail,
            keep_alive=self._request_complete and not self._environment.is_draining,
            method_is_head=self.method == "HEAD",
            has_credential=self._head is not None and bool(self._head.authorization),
        )
        self._finish()

    def _finish(self) -> None:
        self._has_ended = True
        self._environment.in_flight -= 1
        try:
            if self._was_allowed:
                self._record_outcome()
            self._counts().answered(self.status, self._environment.clock() - self.started_at)
        finally:
            self._client.finish(keep_alive=self._reply.keep_alive and self._request_complete)

    def _record_outcome(self) -> None:
        self._environment.trail.outcome(self, self._environment.clock() - self.started_at)
        self._counts().ended(self.reason, self.bytes_in, self.bytes_out)
