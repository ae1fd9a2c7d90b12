"""
An exchange that leaves HTTP: from the request for an upgrade to the end of the stream.

Law: `Upgrade` goes upstream only after the decision is on record, and only if nothing behind the
request is read as HTTP any more. Bytes pass only after a 101 that answers what was asked; after
anything else both connections have served their last request.
"""

from time import time

from proxy.ending import Ending
from proxy.interfaces import Outbound
from proxy.model.decision import Reason
from proxy.model.route import Route
from proxy.streams import NEVER, Stream
from proxy.tunnel import Tunnel
from proxy.wire.upgrade import find_upgrade

SWITCHING_PROTOCOLS = 101


class Switching(Ending):
    """A flow that may become a stream."""

    __slots__ = ()

    def _ask_to_switch(self, route: Route, parts: list[bytes], outbound: Outbound) -> None:
        """Add to the head, whose last piece ends it, what of the client's upgrade the route allows."""
        block = self._block
        if block is None or not self._client.asks_to_switch:
            return
        self._upgrade = find_upgrade(self.method, block.headers, route.upgrade)
        if self._upgrade is not None:
            parts.insert(len(parts) - 1, self._upgrade.lines)
            outbound.expect_switch()

    def response_switch(
        self, phrase: bytes, lines: list[bytes], named: list[bytes], outbound: Outbound
    ) -> bool:
        """Become a stream, if this 101 is an answer to what was asked; `named` are its Upgrade values."""
        upgrade, passage = self._upgrade, self._passage
        if upgrade is None or passage is None or not upgrade.is_answered_by(named, lines):
            return False
        clock = self._environment.clock
        tunnel = Tunnel(self._end_stream, passage.route.stream_idle_timeout_s, clock())
        self._tunnel = tunnel
        self._outbound = None
        self.status = SWITCHING_PROTOCOLS
        self._reply.switch(phrase, lines, named[0], self.request_id)
        self._client.hand_over(tunnel.client)
        outbound.hand_over(tunnel.upstream)
        self._counts().answered(self.status, clock() - self.started_at)
        self._environment.streams.add(
            Stream(tunnel, passage.route.name, self.identity, clock() + self._seconds_left(passage.route))
        )
        tunnel.open()
        return True

    def _seconds_left(self, route: Route) -> float:
        if self.identity is None or route.streams_outlive_token:
            return NEVER
        return max(self.identity.expires_at - time(), 0.0)

    def _end_stream(self, reason: Reason) -> None:
        tunnel = self._tunnel
        assert tunnel is not None
        if reason is Reason.SHUTTING_DOWN and not self._environment.is_draining:
            # uvloop ends a TLS connection that was cut without a word, as it does one that we abort.
            lost = tunnel.client if tunnel.client.is_lost else tunnel.upstream
            reason = lost.breaks_as
        self.bytes_in += tunnel.client.received
        self.bytes_out += tunnel.upstream.received
        self._stop(reason, self.status)
