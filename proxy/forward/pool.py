"""
The connections to one upstream: reused last in first out, bounded, with a bounded queue behind.

Law: at most `max_connections` sockets, at most `max_waiting` requests behind them, and none waits
longer than the connect timeout. With an idle connection nothing is awaited and no task is made.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from proxy.forward.connection import UpstreamConnection
from proxy.forward.interfaces import Receiver
from proxy.model.decision import Reason
from proxy.model.upstream import Upstream
from proxy.tasks import TaskOwner

log = logging.getLogger("rolegate.forward")


class Pool:
    """Lends the connections of one upstream; `now` is the coarse monotonic clock that `sweep` moves."""

    __slots__ = (
        "_busy",
        "_clock",
        "_connecting",
        "_idle",
        "_tasks",
        "_waiting",
        "address",
        "failures",
        "now",
        "upstream",
    )

    def __init__(self, upstream: Upstream, tasks: TaskOwner, clock: Callable[[], float]) -> None:
        self.upstream = upstream
        self.address = upstream.address
        self._tasks = tasks
        self._clock = clock
        self._idle: list[UpstreamConnection] = []
        self._busy: set[UpstreamConnection] = set()
        self._connecting = 0
        self._waiting: deque[tuple[float, Receiver]] = deque()
        self.failures: dict[Reason, int] = {}
        self.now = clock()

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
        # Behind the connections: a request for which one is being opened does not count.
        if not self._can_connect and len(self._waiting) - self._connecting >= self.upstream.max_waiting:
            self.count(Reason.UPSTREAM_OVERLOADED)
            receiver.response_failed(Reason.UPSTREAM_OVERLOADED)
            return
        self._waiting.append((self._clock() + self.upstream.connect_timeout_s, receiver))
        self._connect_if_needed()

    def cancel(self, receiver: Receiver) -> None:
        """Forget a request that waits for a connection."""
        self._waiting = deque(entry for entry in self._waiting if entry[1] is not receiver)

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection on which nothing is left over."""
        self._busy.discard(connection)
        if not connection.is_open:
            self._connect_if_needed()
            return
        if self._waiting:
            self._lend(connection, self._waiting.popleft()[1])
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
        while self._waiting and self._waiting[0][0] <= now:
            _, receiver = self._waiting.popleft()
            self._refuse(receiver, Reason.UPSTREAM_OVERLOADED if self._busy else Reason.UPSTREAM_UNREACHABLE)

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

    def count(self, reason: Reason) -> None:
        """Count a failure of this upstream."""
        self.failures[reason] = self.failures.get(reason, 0) + 1

    def _lend(self, connection: UpstreamConnection, receiver: Receiver) -> None:
        self._busy.add(connection)
        connection.start(receiver)
        try:
            receiver.take(connection)
        except Exception:
            # The boundary of the request: the one whose response has just ended here has no part in it.
            log.exception("sending a request failed")
            connection.abort()
            self._refuse(receiver, Reason.INTERNAL_ERROR)

    def _refuse(self, receiver: Receiver, reason: Reason) -> None:
        self.count(reason)
        try:
            receiver.response_failed(reason)
        except Exception:
            # As above: the others wait on.
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
            async with asyncio.timeout(upstream.connect_timeout_s):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: UpstreamConnection(self), upstream.host, upstream.port
                )
        except OSError as error:  # TimeoutError is one
            log.info("upstream `%s` cannot be reached: %s", upstream.name, error)
        finally:
            self._connecting -= 1
        if connection is not None and connection.is_open:
            self.release(connection)
        elif self._waiting:
            self._refuse(self._waiting.popleft()[1], Reason.UPSTREAM_UNREACHABLE)
        self._connect_if_needed()

    def __repr__(self) -> str:
        return (
            f"<Pool {self.upstream.name} [Connections: {self.busy_count} busy, {self.idle_count} idle | "
            f"Requests: {self.waiting_count} waiting]>"
        )
