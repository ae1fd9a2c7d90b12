"""Health checks, against upstreams that answer well, badly, late, or with something else."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from proxy.forward.forwarder import Forwarder
from proxy.forward.standing import Standing
from proxy.model.upstream import Health
from proxy.tasks import TaskOwner
from tests.forward.test_pool import an_upstream
from tests.kit.clock import Clock
from tests.kit.local_proxy import until
from tests.kit.ports import free_port
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream, answering

ON_BOTH_LOOPS = True


@asynccontextmanager
async def checked(port: int, clock: Clock, **health: object) -> AsyncGenerator[tuple[Forwarder, Standing]]:
    """Yield a forwarder whose only endpoint is checked, and its standing."""
    tasks = TaskOwner()
    settings = Health(**{"path": "/healthz", "timeout_s": 0.5, **health})  # type: ignore[arg-type]  # several types
    forwarder = Forwarder(an_upstream(port, health=settings), tasks, clock)
    standing = forwarder.pools[0].standing
    assert standing is not None
    yield forwarder, standing
    forwarder.close()
    await tasks.close()


async def never(connection: RecordedConnection) -> None:
    await connection.request()
    await connection.read()


GOOD = {
    "200": (OK, {}),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", {}),
    "an interim response first": (b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, {}),
    "a status that is named": (b"HTTP/1.1 401 Unauthorized\r\n\r\n", {"statuses": frozenset({401})}),
    "a body that does not end": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", {}),
}
BAD = {
    "503": (b"HTTP/1.1 503 Unavailable\r\n\r\n", {}),
    "302": (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", {}),
    "a status that is not named": (OK, {"statuses": frozenset({204})}),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", {}),
    "half a head": (b"HTTP/1.1 200 OK\r\nA: ", {}),
    "a head without end": (b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000, {}),
}


@pytest.mark.parametrize(("answer", "health"), GOOD.values(), ids=GOOD.keys())
async def test_good_answers(answer: bytes, health: dict[str, object]) -> None:
    clock = Clock()
    async with (
        RecordingUpstream(answering(lambda _: answer)) as upstream,
        checked(upstream.port, clock, **health) as (forwarder, standing),
    ):
        forwarder.sweep(clock())
        await until(lambda: standing.checks_passed == 1, what="the check")
        assert standing.checks_failed == 0


@pytest.mark.parametrize(("answer", "health"), BAD.values(), ids=BAD.keys())
async def test_bad_answers(answer: bytes, health: dict[str, object]) -> None:
    clock = Clock()
    async with (
        RecordingUpstream(answering(lambda _: answer)) as upstream,
        checked(upstream.port, clock, **health) as (forwarder, standing),
    ):
        forwarder.sweep(clock())
        await until(lambda: standing.checks_failed == 1, what="the check")
        assert standing.checks_passed == 0
        await until(lambda: upstream.open_count == 0, what="the end of its connection")


async def test_nobody_there() -> None:
    clock = Clock()
    async with checked(free_port(), clock) as (forwarder, standing):
        forwarder.sweep(clock())
        await until(lambda: standing.checks_failed == 1, what="the check")


async def test_an_endpoint_is_asked_every_so_often_and_never_twice_at_once() -> None:
    clock = Clock()
    async with (
        RecordingUpstream(never) as upstream,
        checked(upstream.port, clock, interval_s=10, timeout_s=30) as (forwarder, standing),
    ):
        forwarder.sweep(clock())
        await until(lambda: upstream.byte_count > 0, what="the question")
        for _ in range(5):
            clock.advance(10)
            forwarder.sweep(clock())
        await asyncio.sleep(0.05)
        assert len(upstream.connections) == 1
        upstream.connections[0].reset()
        await until(lambda: standing.checks_failed == 1, what="the failure")
        forwarder.sweep(clock())
        await until(lambda: len(upstream.connections) == 2, what="the next question")


async def test_no_answer_in_time_is_a_bad_one() -> None:
    clock = Clock()
    async with (
        RecordingUpstream(never) as upstream,
        checked(upstream.port, clock, timeout_s=0.05) as (forwarder, standing),
    ):
        forwarder.sweep(clock())
        await until(lambda: standing.checks_failed == 1, what="the failure")
        await until(lambda: upstream.open_count == 0, what="the end of its connection")


@pytest.mark.parametrize(("host", "sent"), [(None, b"127.0.0.1:"), ("a.example", b"a.example\r\n")])
async def test_what_is_asked(host: str | None, sent: bytes) -> None:
    clock = Clock()
    async with (
        RecordingUpstream() as upstream,
        checked(upstream.port, clock, host=host) as (forwarder, standing),
    ):
        forwarder.sweep(clock())
        await until(lambda: standing.checks_passed == 1, what="the check")
        assert upstream.received.startswith(b"GET /healthz HTTP/1.1\r\nHost: " + sent)


async def test_an_upstream_that_is_drained_is_not_asked_any_more() -> None:
    clock = Clock()
    async with RecordingUpstream() as upstream, checked(upstream.port, clock) as (forwarder, _):
        forwarder.drain()
        forwarder.sweep(clock())
        await asyncio.sleep(0.02)
        assert upstream.connections == []


@pytest.mark.parametrize("end", [Forwarder.drain, Forwarder.close])
@pytest.mark.parametrize("moment", ["before it has begun", "while it connects", "while it waits"])
async def test_a_check_ends_with_its_upstream(end: Callable[[Forwarder], None], moment: str) -> None:
    """Its task and its connection are gone at once, not when its time is up, and none follows."""
    clock = Clock()
    async with (
        RecordingUpstream(never) as upstream,
        checked(upstream.port, clock, timeout_s=60.0) as (forwarder, standing),
    ):
        forwarder.sweep(clock())
        if moment == "while it connects":
            await asyncio.sleep(0)
        elif moment == "while it waits":
            await until(lambda: upstream.byte_count > 0, what="the question")
        end(forwarder)
        await until(lambda: not checks_running(), what="the end of the check")
        await until(lambda: upstream.open_count == 0, what="the end of its connection")
        asked = len(upstream.connections)
        clock.advance(3600)
        forwarder.sweep(clock())
        assert not checks_running()
        assert len(upstream.connections) == asked
        assert (standing.checks_passed, standing.checks_failed) == (0, 0)


def checks_running() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("check ")]
