"""
How a request ends: with the upstream's response, with an answer of ours, or with a reset.

Law: each request ends once. What was forwarded gets exactly one outcome record, whichever of the
client, the upstream and ourselves gives up first.
"""

from asyncio import Task

from proxy.environment import Environment
from proxy.interfaces import Admission, Client, Counts, Outbound
from proxy.live import Live, Passage
from proxy.model.decision import DENIALS, Decision, Reason
from proxy.model.flow import Flow
from proxy.model.peer import Peer
from proxy.outgoing import EarlyBody
from proxy.reply import Reply
from proxy.tunnel import Tunnel
from proxy.wire.framing import LAST_CHUNK
from proxy.wire.reading import HeaderBlock
from proxy.wire.upgrade import Upgrade

CLIENT_CLOSED_REQUEST = 499  # nginx's number for a client that did not wait; it is never sent


class Ending(Flow):
    """A flow with its client, its upstream connection and its answer, of which each may give up."""

    __slots__ = (
        "_asking",
        "_block",
        "_client",
        "_detail",
        "_early_body",
        "_early_failure",
        "_environment",
        "_has_ended",
        "_is_chunked_in",
        "_is_on_record",
        "_last_chunk",
        "_limit_lines",
        "_live",
        "_outbound",
        "_passage",
        "_peer",
        "_place",
        "_reply",
        "_request_complete",
        "_span_id",
        "_tunnel",
        "_upgrade",
        "_waits_for_connection",
        "_was_allowed",
        "method",
    )

    def __init__(self, environment: Environment, client: Client, peer: Peer) -> None:
        request_id, self._span_id = environment.ids.next()
        Flow.__init__(self, request_id, peer.address, environment.clock())
        self._peer = peer
        self.certificate = peer.certificate
        environment.in_flight += 1
        self._environment = environment
        self._live: Live = environment.holder.current
        self._asking: Task[None] | None = None
        self._client = client
        self._reply = Reply(client)
        self._passage: Passage | None = None
        self._outbound: Outbound | None = None
        self._early_body: EarlyBody | None = None
        self._early_failure: Reason | None = None
        self._detail = ""
        self._has_ended = False
        self._block: HeaderBlock | None = None
        self._is_chunked_in = False
        self._limit_lines = b""
        self._place: Admission | None = None
        self._is_on_record = False
        self._last_chunk = LAST_CHUNK
        self._request_complete = False
        self._waits_for_connection = False
        self._tunnel: Tunnel | None = None
        self._upgrade: Upgrade | None = None
        self._was_allowed = False
        self.method = ""

    def _decide(self, decision: Decision) -> None:
        """Record a decision and act on it; the step that decides has it."""
        raise NotImplementedError

    def _let_go(self) -> None:
        """Drop the connection to the upstream, or the wait for one; the step that forwards has it."""
        raise NotImplementedError

    def _counts(self) -> Counts:
        return self._live.unrouted_counts if self._passage is None else self._passage.counts

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
            self._decide_unasked(reason)
        else:
            self._early_failure = reason  # the decision is being recorded; `recorded` goes on from here

    def _stop(self, reason: Reason, status: int) -> None:
        """End without another byte to the client."""
        if self._has_ended:
            return
        self._has_ended = True
        self._let_go()
        self._environment.in_flight -= 1
        if self._place is not None:
            self._place.leave()
        self.reason = reason
        self.status = status
        if self._was_allowed:
            self._record_outcome(self._elapsed_s())
        elif self.decision is None:
            self._decide_unasked(reason)

    def _decide_unasked(self, reason: Reason) -> None:
        """Refuse, whatever would be found out about the token."""
        asking, self._asking = self._asking, None  # what was cancelled holds on to its frames, and they to us
        if asking is not None:
            asking.cancel()
        self._decide(DENIALS[reason])

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
            has_credential=self._block is not None and bool(self._block.authorization),
            lines=self._limit_lines,
        )
        self._finish()

    def _finish(self) -> None:
        self._has_ended = True
        self._environment.in_flight -= 1
        if self._place is not None:
            self._place.leave()
        duration_s = self._elapsed_s()
        try:
            if self._was_allowed:
                self._record_outcome(duration_s)
            self._counts().answered(self.status, duration_s)
        finally:
            self._client.finish(keep_alive=self._reply.keep_alive and self._request_complete)

    def _elapsed_s(self) -> float:
        return self._environment.clock() - self.started_at

    def _record_outcome(self, duration_s: float) -> None:
        self._environment.trail.outcome(self, duration_s)
        self._counts().ended(self.reason, self.bytes_in, self.bytes_out)
