"""
Asking endpoints whether they are well: a GET on a connection of its own, every so often.

An endpoint is asked again only when the last answer is in, or did not come in time.
"""

import asyncio
from collections.abc import Sequence

import httptools

from proxy.errors import UpstreamError
from proxy.forward.pool import Pool
from proxy.model.upstream import Health
from proxy.tasks import TaskOwner

# What an answer may say before its head is complete.
MAX_ANSWER_BYTES = 64 * 1024


class HealthChecks:
    """The checks of one upstream's endpoints; the pools' standings hear of the results."""

    __slots__ = ("_due", "_health", "_is_closed", "_pools", "_running", "_tasks")

    def __init__(self, health: Health, pools: Sequence[Pool], tasks: TaskOwner) -> None:
        self._health = health
        self._pools = pools
        self._tasks = tasks
        self._due = [0.0] * len(pools)
        self._running: dict[Pool, asyncio.Task[None]] = {}
        self._is_closed = False

    def sweep(self, now: float) -> None:
        """Begin the checks that are due."""
        if self._is_closed:
            return
        for position, pool in enumerate(self._pools):
            if now >= self._due[position] and pool not in self._running:
                self._due[position] = now + self._health.interval_s
                self._running[pool] = self._tasks.spawn(self._check(pool), name=f"check {pool.address}")

    def close(self) -> None:
        """End what runs, its connections included, and begin nothing any more."""
        self._is_closed = True
        for task in self._running.values():
            task.cancel()
        self._running.clear()

    async def _check(self, pool: Pool) -> None:
        try:
            is_well = await self._ask(pool)
        finally:
            self._running.pop(pool, None)
        if pool.standing is not None:
            pool.standing.checked(is_well=is_well)

    async def _ask(self, pool: Pool) -> bool:
        health, question = self._health, None
        try:
            async with asyncio.timeout(health.timeout_s):
                question = await pool.dialer.connect(
                    lambda: Question(health.path, health.host or pool.authority), health.timeout_s
                )
                status = await question.status
        except (OSError, UpstreamError):  # TimeoutError is the former
            return False
        finally:
            if question is not None:
                question.close()
        return status in health.statuses if health.statuses else 200 <= status < 300


class Question(asyncio.Protocol):
    """One request, of whose answer only the status is read; `status` fails with OSError if none comes."""

    def __init__(self, path: str, host: str) -> None:
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: rolegate-health\r\nConnection: close\r\n\r\n"
        )
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.BaseTransport | None = None
        self._bytes = 0
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio.Protocol
        self._transport = transport
        transport.write(self._request.encode())  # type: ignore[attr-defined]  # a stream transport, by the way it was made

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio.Protocol
        self._bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._give_up("no HTTP response came")
        if self._bytes > MAX_ANSWER_BYTES:
            self._give_up("the head of the response has no end")

    def on_headers_complete(self) -> None:
        """Take the status, unless it is an interim one."""
        status = self._parser.get_status_code()
        if status >= 200 and not self.status.done():
            self.status.set_result(status)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: D102, ARG002 - asyncio.Protocol
        self._give_up("the connection was closed")

    def close(self) -> None:
        """Drop the connection; nobody wants the rest."""
        self.status.cancel()
        if self._transport is not None:
            self._transport.abort()  # type: ignore[attr-defined]  # a stream transport, by the way it was made

    def _give_up(self, why: str) -> None:
        if not self.status.done():
            self.status.set_exception(ConnectionResetError(why))
            self.status.exception()  # seen, even if the one who asked has given up before
