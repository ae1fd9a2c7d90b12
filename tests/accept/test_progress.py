"""What a peer takes, measured on real sockets; the clock is the test's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.accept.limits import Limits
from proxy.accept.progress import Pace, Taking, taken, unread, waiting
from tests.kit.local_proxy import until
from tests.kit.ports import LOOPBACK

ON_BOTH_LOOPS = True


def limits(*, request: int | None = None, response: int | None = None, window_s: float = 10) -> Limits:
    return Limits(
        max_connections=1,
        max_header_bytes=1,
        max_header_count=1,
        max_target_bytes=1,
        headers_timeout_s=1,
        body_idle_timeout_s=20,
        keep_alive_timeout_s=1,
        write_idle_timeout_s=30,
        min_request_rate=request,
        min_response_rate=response,
        rate_window_s=window_s,
    )


def test_without_a_limit_no_pace_is_kept() -> None:
    assert Pace.of(limits()) is None


class Peer:
    """The side of a connection that reads when it is told to."""

    def __init__(
        self, transport: asyncio.Transport, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.transport = transport
        self.reader = reader
        self.writer = writer

    async def take_most(self) -> None:
        """Read until the kernel has room again, which it tells in large steps."""
        before = taken(self.transport)
        async with asyncio.timeout(10):
            while taken(self.transport) == before:
                await self.reader.read(65536)


async def settle(number: Callable[[], int]) -> None:
    """Wait until a number stands still."""
    before: int | None = None
    while before != (before := number()):  # noqa: ASYNC110 - no event tells that nothing happens any more
        await asyncio.sleep(0.05)


@asynccontextmanager
async def a_peer(folder: Path | None = None) -> AsyncIterator[Peer]:
    """Yield a connection on which much waits, more than the kernel holds."""
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accepted.put(writer)

    if folder is None:
        server = await asyncio.start_server(serve, LOOPBACK, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2], limit=1024)
    else:
        path = str(folder / "s")
        server = await asyncio.start_unix_server(serve, path)
        reader, writer = await asyncio.open_unix_connection(path, limit=1024)
    sender = await accepted.get()
    transport = sender.transport
    transport.write(b"a" * 30_000_000)
    await until(lambda: transport.get_write_buffer_size() > 0, what="the block")
    await settle(lambda: waiting(transport))  # type: ignore[arg-type]  # a stream's transport
    try:
        yield Peer(transport, reader, writer)  # type: ignore[arg-type]  # as above
    finally:
        transport.abort()
        writer.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(("size", "goes_on"), [(999, False), (1000, True), (1001, True)])
async def test_a_body_has_to_come_at_its_rate(size: int, goes_on: bool) -> None:
    async with a_peer() as peer:
        pace = Pace.of(limits(request=100))
        assert pace is not None
        assert pace.start(50.0) == 60.0
        assert pace.count(size - 1) == 60.0
        pace.count(1)
        assert pace.go_on(peer.transport, 60.0) == (70.0 if goes_on else None)


async def test_each_window_stands_for_itself() -> None:
    async with a_peer() as peer:
        pace = Pace.of(limits(request=100))
        assert pace is not None
        pace.start(50.0)
        pace.count(1_000_000)
        assert pace.go_on(peer.transport, 60.0) == 70.0
        assert pace.go_on(peer.transport, 70.0) is None


async def test_before_the_window_ends_a_deadline_is_that_of_a_pause() -> None:
    async with a_peer() as peer:
        pace = Pace.of(limits(request=1))
        assert pace is not None
        pace.start(50.0)
        pace.count(1_000_000)
        assert pace.go_on(peer.transport, 59.9) is None


async def test_a_body_that_we_did_not_get_to_read_is_not_slow() -> None:
    async with a_peer() as peer:
        pace = Pace.of(limits(request=100))
        assert pace is not None
        pace.start(50.0)
        peer.transport.pause_reading()
        peer.writer.write(b"a")
        await until(lambda: unread(peer.transport) > 0, what="the byte")
        assert pace.go_on(peer.transport, 60.0) == 70.0


@pytest.mark.parametrize("is_local", [False, True], ids=["tcp", "unix"])
async def test_whoever_takes_something_may_go_on(is_local: bool, tmp_path: Path) -> None:
    async with a_peer(tmp_path if is_local else None) as peer:
        taking = Taking(limits())
        assert taking.start(peer.transport, 100.0) == 130.0
        await peer.take_most()
        assert taking.go_on(peer.transport, 130.0) == 160.0
        await settle(lambda: taken(peer.transport))
        taking.start(peer.transport, 160.0)
        assert taking.go_on(peer.transport, 190.0) is None


@pytest.mark.parametrize(("rate", "goes_on"), [(100, True), (10_000_000, False)])
async def test_with_a_least_rate_something_is_not_enough(rate: int, goes_on: bool) -> None:
    async with a_peer() as peer:
        taking = Taking(limits(response=rate))
        assert taking.start(peer.transport, 100.0) == 110.0
        await peer.take_most()
        assert (taking.go_on(peer.transport, 110.0) is not None) is goes_on


@pytest.mark.parametrize(("over", "goes_on"), [(-1, True), (0, True), (1, False)])
async def test_the_least_rate_is_fast_enough(over: int, goes_on: bool) -> None:
    async with a_peer() as peer:
        before = taken(peer.transport)
        await peer.take_most()
        await settle(lambda: taken(peer.transport))
        in_one_second = taken(peer.transport) - before
        taking = Taking(limits(response=in_one_second + over, window_s=1))
        taking.start(peer.transport, 100.0)
        taking._taken = before  # as if it had begun to watch before the client took anything
        assert (taking.go_on(peer.transport, 101.0) is not None) is goes_on


async def test_who_is_looked_at_early_is_not_judged_early() -> None:
    async with a_peer() as peer:
        await settle(lambda: taken(peer.transport))
        taking = Taking(limits())
        taking.start(peer.transport, 100.0)
        assert taking.go_on(peer.transport, 102.0) == 102.0
        assert taking.go_on(peer.transport, 129.9) == 129.9
        assert taking.go_on(peer.transport, 130.0) is None


async def test_where_nothing_waits_nothing_goes_on() -> None:
    async with a_peer() as peer:
        taking = Taking(limits())
        taking.start(peer.transport, 100.0)
        await peer.reader.readexactly(30_000_000)
        await until(lambda: waiting(peer.transport) == 0, what="the end")
        assert taken(peer.transport) >= 30_000_000
        assert taking.go_on(peer.transport, 110.0) is None


async def test_a_connection_that_is_gone_takes_nothing() -> None:
    async with a_peer() as peer:
        taking = Taking(limits())
        taking.start(peer.transport, 100.0)
        peer.transport.abort()
        await asyncio.sleep(0)
        assert taking.go_on(peer.transport, 130.0) is None
