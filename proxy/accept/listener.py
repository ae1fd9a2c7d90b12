"""
The listening socket and the connections that came through it.

Law: no more connections than the limit, and none without a deadline. A stop closes the socket first,
then idle connections, then waits for what is in flight, and at the deadline resets what is left.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

from proxy.accept.client import ClientConnection
from proxy.accept.interfaces import Exchanges
from proxy.accept.limits import Limits

log = logging.getLogger("rolegate.accept")

BACKLOG = 1024

# How long the reset of what is left at a stop may take to get through the event loop.
RESET_S = 1.0
POLL_S = 0.02


class Listener:
    """Accepts connections; `now` is the coarse monotonic clock that `sweep` moves."""

    __slots__ = (
        "_clock",
        "_connections",
        "_server",
        "accepted",
        "exchanges",
        "is_draining",
        "limits",
        "now",
        "refused",
    )

    def __init__(self, exchanges: Exchanges, limits: Limits, clock: Callable[[], float]) -> None:
        self.exchanges = exchanges
        self.limits = limits
        self._clock = clock
        self._connections: set[ClientConnection] = set()
        self._server: asyncio.Server | None = None
        self.now = clock()
        self.is_draining = False
        self.accepted = 0
        self.refused = 0

    async def start(self, host: str, port: int, *, is_shared: bool = False) -> int:
        """
        Listen, and return the port, which the system chose if `port` is 0.

        A shared port is one on which other processes listen too (SO_REUSEPORT).
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ClientConnection(self), host, port, backlog=BACKLOG, reuse_port=is_shared
        )
        bound: socket.socket = self._server.sockets[0]
        return int(bound.getsockname()[1])

    def add(self, connection: ClientConnection) -> None:
        """Take a new connection, or reset it if there are too many."""
        if len(self._connections) >= self.limits.max_connections or self.is_draining:
            self.refused += 1
            connection.abort()
            return
        self.accepted += 1
        self._connections.add(connection)

    def remove(self, connection: ClientConnection) -> None:
        """Strike off a connection that is closed."""
        self._connections.discard(connection)

    def sweep(self, now: float) -> None:
        """Expire connections whose deadline has passed; called several times a second."""
        self.now = now
        for connection in [held for held in self._connections if held.deadline <= now]:
            try:
                connection.expire()
            except Exception:
                # The boundary between connections: without the sweep none of them has a deadline.
                log.exception("%r did not end in order", connection)
                connection.abort()

    async def stop(self, timeout_s: float) -> int:
        """Stop accepting, let what is in flight finish, and return how many connections had to be reset."""
        self.is_draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.drain()
        await self._until_empty(timeout_s)
        left = list(self._connections)
        for connection in left:
            connection.abort()
        await self._until_empty(RESET_S)
        return len(left)

    async def _until_empty(self, timeout_s: float) -> None:
        give_up_at = self._clock() + timeout_s
        while self._connections and self._clock() < give_up_at:  # noqa: ASYNC110 - an event would cost each connection
            await asyncio.sleep(POLL_S)

    @property
    def connection_count(self) -> int:
        """Open client connections."""
        return len(self._connections)

    def __repr__(self) -> str:
        return f"<Listener [{len(self._connections)} connections]>"
