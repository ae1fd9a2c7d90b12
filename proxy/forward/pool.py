"""
The connections to one upstream: reused last in first out, bounded, with a bounded queue behind.

Law: at most `max_connections` sockets, at most `max_waiting` requests behind them, and none waits
longer than the connect timeout. With an idle connection nothing is awaited and no task is made.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from proxy.forward.connection import UpstreamConnection
from proxy.forward.interfaces import Receiver
from proxy.model.decision import Reason
from proxy.model.upstream import Upstream
from proxy.tasks import TaskOwner


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
            if connection.transport is not None and not connection.transport.is_closing():
                self._lend(connection, receiver)
                return
        if len(self._waiting) >= self.upstream.max_waiting:
            self.count(Reason.UPSTREAM_OVERLOADED)
            receiver.response_failed(Reason.UPSTREAM_OVERLOADED)
            return
        self._waiting.append((self._clock() + self.upstream.connect_timeout_s, receiver))
        self._connect_if_allowed()

    def cancel(self, receiver: Receiver) -> None:
        """Forget a request that waits for a connection."""
        self._waiting = deque(entry for entry in self._waiting if entry[1] is not receiver)

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection on which nothing is left over."""
        self._busy.discard(connection)
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
        self._connect_if_allowed()

    def sweep(self, now: float) -> None:
        """Close what has waited too long; called several times a second."""
        self.now = now
        for connection in [held for held in (*self._busy, *self._idle) if held.deadline <= now]:
            if connection in self._busy:
                self.count(Reason.UPSTREAM_TIMEOUT)
            connection.expire()
        while self._waiting and self._waiting[0][0] <= now:
            _, receiver = self._waiting.popleft()
            reason = Reason.UPSTREAM_OVERLOADED if self._busy else Reason.UPSTREAM_UNREACHABLE
            self.count(reason)
            receiver.response_failed(reason)

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
        receiver.take(connection)

    def _connect_if_allowed(self) -> None:
        open_now = len(self._busy) + len(self._idle) + self._connecting
        if self._connecting < len(self._waiting) and open_now < self.upstream.max_connections:
            self._connecting += 1
            self._tasks.spawn(self._connect(), name=f"connect {self.upstream.name}")

    async def _connect(self) -> None:
        upstream = self.upstream
        try:
            async with asyncio.timeout(upstream.connect_timeout_s):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: UpstreamConnection(self), upstream.host, upstream.port
                )
        except OSError:  # TimeoutError is one
            self._connecting -= 1
            self._fail_one()
        except asyncio.CancelledError:
            self._connecting -= 1
            raise
        else:
            self._connecting -= 1
            self.release(connection)
            self._connect_if_allowed()

    def _fail_one(self) -> None:
        self.count(Reason.UPSTREAM_UNREACHABLE)
        if self._waiting:
            _, receiver = self._waiting.popleft()
            receiver.response_failed(Reason.UPSTREAM_UNREACHABLE)
        self._connect_if_allowed()

    def __repr__(self) -> str:
        return (
            f"<Pool {self.upstream.name} [Connections: {self.busy_count} busy, {self.idle_count} idle | "
            f"Requests: {self.waiting_count} waiting]>"
        )
