"""
The connections to one endpoint: reused last in first out, bounded, with a bounded queue behind.

Law: at most `max_connections` sockets, at most `max_waiting` requests behind them, and none waits
longer than the wait timeout. With an idle connection nothing is awaited and no task is made.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from proxy.errors import UpstreamError
from proxy.forward.connection import UpstreamConnection
from proxy.forward.dialing import Dialer
from proxy.forward.interfaces import Receiver
from proxy.forward.standing import Standing
from proxy.forward.tls import ClientTls
from proxy.model.decision import Reason
from proxy.model.upstream import Endpoint, Upstream
from proxy.tasks import TaskOwner

log = logging.getLogger("rolegate.forward")

# What speaks against an endpoint, rather than against a request or against us.
ENDPOINT_FAILURES = frozenset(
    {
        Reason.UPSTREAM_UNREACHABLE,
        Reason.UPSTREAM_TIMEOUT,
        Reason.UPSTREAM_RESET,
        Reason.UPSTREAM_MALFORMED,
    }
)


class Resend(Protocol):
    """Sends a request that failed to an endpoint once more."""

    def __call__(
        self, pool: "Pool", receiver: Receiver, reason: Reason, *, was_sent: bool, is_stale: bool
    ) -> bool:
        """Send the request again, or return False if that is not safe or not paid for."""


class Pool:
    """
    Lends the connections of one endpoint; `now` is the coarse monotonic clock that `sweep` moves.

    `standing` hears of responses and failures, `resend` of requests that failed; either may be None.
    """

    __slots__ = (
        "_busy",
        "_clock",
        "_connecting",
        "_idle",
        "_is_draining",
        "_tasks",
        "_waiting",
        "address",
        "authority",
        "dialer",
        "failures",
        "now",
        "resend",
        "standing",
        "timeouts",
        "upstream",
    )

    def __init__(
        self,
        upstream: Upstream,
        endpoint: Endpoint,
        tasks: TaskOwner,
        clock: Callable[[], float],
        tls: ClientTls | None = None,
    ) -> None:
        self.upstream = upstream
        self.address = endpoint.address
        self.authority = endpoint.authority
        self.timeouts = upstream.timeouts
        self.dialer = Dialer(upstream, endpoint, tasks, clock, tls)
        self.standing: Standing | None = None
        self.resend: Resend | None = None
        self._tasks = tasks
        self._clock = clock
        self._idle: list[UpstreamConnection] = []
        self._busy: set[UpstreamConnection] = set()
        self._connecting = 0
        self._is_draining = False
        self._waiting: OrderedDict[Receiver, float] = OrderedDict()
        self.failures: dict[Reason, int] = {}
        self.now = clock()
        if self.dialer.name is not None:
            self.dialer.name.on_change = self.close_idle

    def acquire(self, receiver: Receiver) -> None:
        """
        Give `receiver` a connection, at once if one is idle, else when there is one.

        Where there will be none, `receiver.response_failed` says why.
        """
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                self._lend(connection, receiver)
                return
        self._enqueue(receiver)

    def acquire_new(self, receiver: Receiver) -> None:
        """Give `receiver` a connection that has not been idle: those that are may be as dead as its last."""
        if not self._can_connect and self._idle:
            self._idle[0].expire()
        self._enqueue(receiver)

    def _enqueue(self, receiver: Receiver) -> None:
        receiver.upstream_address = self.address
        # Behind the connections: a request for which one is being opened does not count.
        if not self._can_connect and len(self._waiting) - self._connecting >= self.upstream.max_waiting:
            self.count(Reason.UPSTREAM_OVERLOADED)
            receiver.response_failed(Reason.UPSTREAM_OVERLOADED)
            return
        self._waiting[receiver] = self._clock() + self.upstream.wait_timeout_s
        self._connect_if_needed()

    def cancel(self, receiver: Receiver) -> None:
        """Forget a request that waits for a connection."""
        self._waiting.pop(receiver, None)

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection on which nothing is left over."""
        self._busy.discard(connection)
        if not connection.is_open:
            self._connect_if_needed()
            return
        if self._waiting:
            self._lend(connection, self._waiting.popitem(last=False)[0])
            return
        if self._is_draining:
            connection.expire()
            return
        connection.deadline = self.now + self.upstream.keep_alive_s
        self._idle.append(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        """Strike off a connection that is closed."""
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._connect_if_needed()

    def sweep(self, now: float) -> None:
        """Close what has waited too long; called several times a second."""
        self.now = now
        for connection in [held for held in (*self._busy, *self._idle) if held.deadline <= now]:
            try:
                connection.expire()
            except Exception:
                # The boundary between requests: without the sweep none of them has a deadline.
                log.exception("%r did not end in order", connection)
        while self._waiting and next(iter(self._waiting.values())) <= now:
            receiver, _ = self._waiting.popitem(last=False)
            self._refuse(receiver, Reason.UPSTREAM_OVERLOADED if self._busy else Reason.UPSTREAM_UNREACHABLE)
        if self.dialer.name is not None:
            self.dialer.name.sweep(now)
        if self.standing is not None:
            self.standing.sweep(now)

    def drain(self) -> None:
        """Close idle connections now, and the others as they end; whoever waits is still served."""
        self._is_draining = True
        self.close_idle()

    def close_idle(self) -> None:
        """Close the connections that carry no request."""
        for connection in list(self._idle):
            connection.expire()

    def close(self) -> None:
        """Drop every connection."""
        for connection in (*self._busy, *self._idle):
            connection.abort()

    @property
    def idle_count(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    @property
    def busy_count(self) -> int:
        """Connections that carry a request."""
        return len(self._busy)

    @property
    def waiting_count(self) -> int:
        """Requests that wait for a connection."""
        return len(self._waiting)

    @property
    def connecting_count(self) -> int:
        """Connections that are being opened."""
        return self._connecting

    @property
    def outstanding(self) -> int:
        """Requests that were sent here and not answered, and those that wait."""
        return len(self._busy) + len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether a request would have to wait for another one to end."""
        return not self._idle and not self._can_connect

    def count(self, reason: Reason) -> None:
        """Count a failure of this endpoint."""
        self.failures[reason] = self.failures.get(reason, 0) + 1

    def failed(self, receiver: Receiver, reason: Reason, *, was_sent: bool, is_stale: bool = False) -> None:
        """Send a request that failed once more where that is safe, else tell its receiver."""
        if not is_stale and self.standing is not None and reason in ENDPOINT_FAILURES:
            self.standing.failed(self.now)
        if self.resend is not None and self.resend(
            self, receiver, reason, was_sent=was_sent, is_stale=is_stale
        ):
            return
        self.count(reason)
        receiver.response_failed(reason)

    def _lend(self, connection: UpstreamConnection, receiver: Receiver) -> None:
        self._busy.add(connection)
        receiver.upstream_address = self.address
        connection.start(receiver)
        try:
            receiver.take(connection)
        except Exception:
            # The boundary of the request: the one whose response has just ended here has no part in it.
            log.exception("sending a request failed")
            connection.abort()
            self._refuse(receiver, Reason.INTERNAL_ERROR)

    def _refuse(self, receiver: Receiver, reason: Reason) -> None:
        try:
            self.failed(receiver, reason, was_sent=False)
        except Exception:
            # The boundary of the request: those that wait behind it must not wait for ever because of it.
            log.exception("refusing a request failed")

    @property
    def _can_connect(self) -> bool:
        return len(self._busy) + len(self._idle) + self._connecting < self.upstream.max_connections

    def _connect_if_needed(self) -> None:
        if self._connecting < len(self._waiting) and self._can_connect:
            self._connecting += 1
            self._tasks.spawn(self._connect(), name=f"connect {self.upstream.name}")

    async def _connect(self) -> None:
        upstream, connection = self.upstream, None
        try:
            connection = await self.dialer.connect(
                lambda: UpstreamConnection(self), upstream.connect_timeout_s
            )
        except (OSError, UpstreamError) as error:  # TimeoutError is the former
            log.info("upstream `%s` cannot be reached: %s", upstream.name, str(error) or "no answer in time")
        finally:
            self._connecting -= 1
        if connection is not None and connection.is_open:
            self.release(connection)
        elif self._waiting:
            self._refuse(self._waiting.popitem(last=False)[0], Reason.UPSTREAM_UNREACHABLE)
        self._connect_if_needed()

    def __repr__(self) -> str:
        return (
            f"<Pool {self.upstream.name} {self.address} [Connections: {self.busy_count} busy, "
            f"{self.idle_count} idle | Requests: {self.waiting_count} waiting]>"
        )
