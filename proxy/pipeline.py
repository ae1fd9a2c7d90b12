"""
One HTTP request from gate to record.

The order is the law: read the target one way, ask the gate, keep the decision record, and only then
send the first byte upstream. With a cached identity and an idle connection nothing is awaited and
no task is made; everything happens in the callbacks of the two connections.
"""

import logging
from time import time

from proxy.ending import CLIENT_CLOSED_REQUEST
from proxy.environment import Environment
from proxy.errors import RequestError
from proxy.gate import find_passage, judge, judge_slowly
from proxy.interfaces import Admission, Client
from proxy.live import Passage
from proxy.model.decision import DENIALS, Decision, Reason
from proxy.model.peer import Peer
from proxy.model.request import Headers
from proxy.model.route import Rewrite
from proxy.outgoing import EarlyBody
from proxy.relaying import Relaying
from proxy.wire.framing import Framing, chunk
from proxy.wire.headers import claimed_host
from proxy.wire.reading import HeaderBlock, read_request
from proxy.wire.rewrite import rewritten_path
from proxy.wire.trailers import passes_up, with_trailer

log = logging.getLogger("rolegate.pipeline")


class Pipeline:
    """Sets requests on their way."""

    __slots__ = ("_environment",)

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def open(self, client: Client, peer: Peer) -> "Exchange":
        """Return the exchange for a request whose head has just come from `peer`."""
        return Exchange(self._environment, client, peer)


class Exchange(Relaying):
    """A flow that moves: one request and its response, between two connections."""

    __slots__ = ()

    # The request comes in, called by the client's connection.

    def begin(
        self,
        method: str,
        target: bytes,
        version: str,
        headers: Headers,
        *,
        keep_alive: bool,
        familiar: HeaderBlock | None = None,
    ) -> HeaderBlock | None:
        """
        Take the head of the request and set out.

        `familiar` is what these header lines said before; they ended the request, and end this one.
        Returns what they say if a later request with the same lines can be read by it.
        """
        self.method = method
        self._request_complete = familiar is not None
        self._reply.expect(version, keep_alive=keep_alive)
        live = self._live
        rules, trusted = live.request_headers, live.trusted_proxies
        try:
            if familiar is not None and familiar.rules is rules and familiar.trusted is trusted:
                block = familiar
            else:
                block = HeaderBlock(version, headers, rules, self._peer, trusted)
            self.request = read_request(method, target, block)
        except RequestError as error:
            self.claimed_method = method
            self.claimed_host = claimed_host(headers)
            self.refuse(error.reason, error.detail, target)
            return None
        self._block = block
        self._is_chunked_in = block.framing is Framing.CHUNKED
        self.client_address = block.client
        self._ask()
        return block if keep_alive and block.announces_nothing and version == "1.1" else None

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
        # Not before the decision, which asks too: it would tell a stranger that there is such a route.
        if self.decision is not None and self._passage is not None and self._is_too_large(self._passage):
            self._fail(Reason.BODY_TOO_LARGE)
            return
        framed = chunk(data) if self._is_chunked_in else data
        if self._outbound is not None:
            if self._early_body is not None:
                self._early_body = self._early_body.keep(framed)
            self._outbound.send(framed)
            return
        if self._early_body is None:
            self._early_body = EarlyBody(self._client)
        self._early_body.add(framed)

    def trailer(self, name: bytes, value: bytes) -> None:
        """Take a field that came behind the body; it stays there."""
        block = self._block
        if block is not None and passes_up(name, self._live.request_headers, block.headers):
            self._last_chunk = with_trailer(self._last_chunk, name, value)

    def end(self) -> None:
        """Note that the request has come whole."""
        self._request_complete = True
        if self._outbound is not None:
            if self._is_chunked_in:
                self._outbound.send(self._last_chunk)
            self._outbound.end_request()

    def client_gone(self) -> None:
        """Stop everything: nobody waits for the response."""
        if self._reply.has_begun and self._reply.ends_with_connection:
            self._client.abort()  # it may have closed its own direction only, and take the part for the whole
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
        door = self._live.door
        if door is not None and not self._is_let_in(door):
            return
        self._passage = find_passage(self._live, request)
        now, credential = time(), request.credential
        if credential is None:
            self._decide(judge(self._passage, None, request, now))
            return
        identities = self._live.identities
        found = identities.recall(credential, now)
        if found is None:
            token = credential.unverified_token
            found = identities.find(token, now)
            if found is None:
                asking = self._ask_slowly(token)
                self._asking = self._environment.tasks.spawn(asking, name=f"identify {self.request_id}")
                return
            identities.remember(credential, found, now)
        if isinstance(found, Decision):
            self._decide(found)
        else:
            self.identity = found
            self._decide(judge(self._passage, found, request, now))

    async def _ask_slowly(self, unverified_token: bytes) -> None:
        """Ask again where the answer has to wait: for a turn, or for the issuer's keys."""
        assert self.request is not None
        identity, decision = await judge_slowly(self._live, self._passage, self.request, unverified_token)
        if self.decision is None:  # else the client left, or its body did not come, while we were asking
            self.identity = identity
            self._decide(decision)

    def _decide(self, decision: Decision) -> None:
        passage = self._passage
        if decision.allowed and passage is not None:
            if self._is_too_large(passage):
                decision = DENIALS[Reason.BODY_TOO_LARGE]
            elif passage.admission is not None:
                decision = self._admit(passage.admission, decision)
        self.decision = decision
        self.reason = decision.reason
        what = self._live.audit_members(passage, self.identity, decision)
        if passage is not None and passage.route.rewrite is not None:
            what += self._rewritten(passage.route.rewrite)
        self._counts().decided(decision.reason)
        self._is_on_record = self._environment.trail.decide(self, what, self)

    def _is_let_in(self, door: Admission) -> bool:
        """Ask the limits of clients, before any work is done for one; answer who is refused."""
        verdict = door.admit(None, self.client_address, self._environment.clock())
        if verdict.refusal is None:
            door.leave()  # how many are in flight is a question of routes
            return True
        self._limit_lines = verdict.lines
        self._decide(verdict.refusal)
        return False

    def _admit(self, admission: Admission, allowed: Decision) -> Decision:
        """Return the decision on a request that policy allows: that one, or the refusal of a limit."""
        verdict = admission.admit(self.identity, self.client_address, self._environment.clock())
        self._limit_lines = verdict.lines
        if verdict.refusal is not None:
            return verdict.refusal
        self._place = admission
        return allowed

    def _rewritten(self, rewrite: Rewrite) -> str:
        """Return the audit member that says what goes upstream instead of the path."""
        assert self.request is not None
        return f',"upstream_path":"{rewritten_path(rewrite, self.request.path)}"'

    def _is_too_large(self, passage: Passage) -> bool:
        limit, block = passage.route.max_body_bytes, self._block
        if limit is None or block is None:
            return False
        return block.announced_bytes > limit or self.bytes_in > limit

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
            self._record_outcome(self._elapsed_s())
            return
        if self._early_failure is not None:
            self._fail(self._early_failure)
            return
        assert passage is not None
        self._waits_for_connection = True
        passage.forwarder.acquire(self)

    def not_recorded(self) -> None:
        """Refuse: a request of which no record can be kept is not forwarded."""
        assert self.decision is not None
        # The record may still be kept later; then it has to say that nothing came of it.
        self._was_allowed = self.decision.allowed and self._is_on_record
        if self._has_ended:
            if self._was_allowed:
                self._record_outcome(self._elapsed_s())
            return
        self.reason = Reason.AUDIT_UNAVAILABLE
        self._answer(Reason.AUDIT_UNAVAILABLE)
