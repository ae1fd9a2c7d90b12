"""The pool's arithmetic, on real sockets: never too many, never lost, and everybody gets an answer."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from proxy.forward.interfaces import Outbound
from proxy.forward.pool import Pool
from proxy.model.decision import Reason
from proxy.model.upstream import Endpoint, Timeouts, Upstream
from proxy.tasks import TaskOwner
from proxy.wire.framing import Framing
from tests.kit.clock import Clock
from tests.kit.local_proxy import until
from tests.kit.ports import LOOPBACK, free_port
from tests.kit.recorder import RecordedConnection, RecordingUpstream

ON_BOTH_LOOPS = True


class Receiving:
    """Sends one GET and keeps what comes; `fault` is raised when it should send."""

    method = "GET"

    def __init__(self, *, fault: bool = False, ends: bool = True) -> None:
        self.fault = fault
        self.ends = ends
        self.outbound: Outbound | None = None
        self.status = 0
        self.has_ended = False
        self.failure: Reason | None = None
        self.upstream_address = ""
        self.failed_addresses: tuple[str, ...] = ()
        self.affinity = b"somebody"
        self.is_replayable = True

    def take_back(self) -> None:
        self.outbound = None

    def take(self, outbound: Outbound) -> None:
        if self.fault:
            raise ZeroDivisionError
        self.outbound = outbound
        outbound.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        if self.ends:
            outbound.end_request()

    def interim_response(self, status: int, phrase: bytes, lines: list[bytes]) -> None: ...

    def response_head(
        self, status: int, phrase: bytes, lines: list[bytes], framing: Framing, content_length: int | None
    ) -> None:
        self.status = status

    def response_body(self, data: bytes) -> None: ...

    def response_trailer(self, name: bytes, value: bytes) -> None: ...

    def response_switch(
        self, phrase: bytes, lines: list[bytes], named: list[bytes], outbound: Outbound
    ) -> bool:
        return False

    def response_flush(self) -> None: ...

    def response_end(self) -> None:
        self.has_ended = True

    def response_failed(self, reason: Reason) -> None:
        assert self.failure is None
        self.failure = reason

    def upstream_writable(self) -> None: ...

    def upstream_blocked(self) -> None: ...

    @property
    def is_over(self) -> bool:
        return self.has_ended or self.failure is not None


def an_upstream(*ports: int, **changes: object) -> Upstream:
    """Return an upstream with an endpoint at each port; every time is a second."""
    return Upstream(
        **{  # type: ignore[arg-type]  # fields of several types
            "name": "up",
            "endpoints": tuple(Endpoint(host=LOOPBACK, port=port) for port in ports),
            "max_connections": 2,
            "max_waiting": 2,
            "connect_timeout_s": 1,
            "wait_timeout_s": 1,
            "timeouts": Timeouts(response_s=1, body_idle_s=1),
            "keep_alive_s": 1,
            **changes,
        }
    )


@asynccontextmanager
async def a_pool(port: int, clock: Clock | None = None, **changes: int) -> AsyncGenerator[Pool]:
    upstream = an_upstream(port, **changes)
    tasks = TaskOwner()
    pool = Pool(upstream, upstream.endpoints[0], tasks, clock or Clock())
    yield pool
    pool.close()
    await tasks.close()


async def test_an_idle_connection_is_lent_at_once_and_without_a_task() -> None:
    async with RecordingUpstream() as upstream, a_pool(upstream.port) as pool:
        first, second = Receiving(), Receiving()
        pool.acquire(first)
        await until(lambda: first.is_over, what="the first response")
        assert (pool.busy_count, pool.idle_count) == (0, 1)
        pool.acquire(second)
        assert second.outbound is first.outbound
        assert len(pool._tasks) == 0
        await until(lambda: second.is_over, what="the second response")
        assert len(upstream.connections) == 1


@pytest.mark.parametrize(("most", "waiting", "refused"), [(2, 2, 0), (2, 1, 1), (1, 1, 2), (4, 1, 0)])
async def test_so_many_are_connected_so_many_wait_and_the_rest_is_refused(
    most: int, waiting: int, refused: int
) -> None:
    """A request for which a connection is being opened does not count as waiting behind them."""
    async with (
        RecordingUpstream() as upstream,
        a_pool(upstream.port, max_connections=most, max_waiting=waiting) as pool,
    ):
        receivers = [Receiving() for _ in range(4)]
        for receiver in receivers:
            pool.acquire(receiver)
        failed = [receiver for receiver in receivers if receiver.failure is not None]
        assert [one.failure for one in failed] == [Reason.UPSTREAM_OVERLOADED] * refused
        await until(lambda: all(receiver.is_over for receiver in receivers), what="every response")
        assert len(upstream.connections) <= most
        assert pool.failures.get(Reason.UPSTREAM_OVERLOADED, 0) == refused


async def test_each_failed_connect_answers_one_and_none_is_forgotten() -> None:
    async with a_pool(free_port(), max_waiting=10) as pool:
        receivers = [Receiving() for _ in range(8)]
        for receiver in receivers:
            pool.acquire(receiver)
        await until(lambda: all(receiver.is_over for receiver in receivers), what="every failure")
        assert {receiver.failure for receiver in receivers} == {Reason.UPSTREAM_UNREACHABLE}
        assert (pool._connecting, pool.waiting_count, pool.busy_count) == (0, 0, 0)
        assert pool.failures == {Reason.UPSTREAM_UNREACHABLE: 8}


async def silent(connection: RecordedConnection) -> None:
    while await connection.read():
        pass


async def test_who_waits_too_long_is_answered_by_the_sweep() -> None:
    clock = Clock()
    async with RecordingUpstream(silent) as upstream, a_pool(upstream.port, clock, max_connections=1) as pool:
        stuck, waiting = Receiving(ends=False), Receiving()
        pool.acquire(stuck)
        await until(lambda: pool.busy_count == 1, what="the connection")
        pool.acquire(waiting)
        clock.advance(0.9)
        pool.sweep(clock())
        assert not waiting.is_over
        clock.advance(0.2)
        pool.sweep(clock())
        assert waiting.failure is Reason.UPSTREAM_OVERLOADED
        # Its request is not whole yet: as long as the client is allowed to take, the upstream is too.
        assert not stuck.is_over


async def test_who_left_is_not_served() -> None:
    async with RecordingUpstream() as upstream, a_pool(upstream.port) as pool:
        gone = Receiving()
        pool.acquire(gone)
        pool.cancel(gone)
        await until(lambda: pool.idle_count == 1, what="the connection that nobody needs any more")
        assert (gone.outbound, gone.is_over, pool.busy_count) == (None, False, 0)
        assert upstream.byte_count == 0


async def test_a_fault_while_sending_costs_the_connection_and_one_request() -> None:
    async with RecordingUpstream() as upstream, a_pool(upstream.port, max_connections=1) as pool:
        good, bad, next_one = Receiving(), Receiving(fault=True), Receiving()
        for receiver in (good, bad, next_one):
            pool.acquire(receiver)
        await until(lambda: next_one.is_over, what="the last response")
        assert (good.status, bad.failure, next_one.status) == (200, Reason.INTERNAL_ERROR, 200)
        assert (pool.busy_count, pool.waiting_count) == (0, 0)
        assert len(upstream.connections) == 2


async def test_an_idle_connection_goes_after_its_time() -> None:
    clock = Clock()
    async with RecordingUpstream() as upstream, a_pool(upstream.port, clock) as pool:
        receiver = Receiving()
        pool.sweep(clock())
        pool.acquire(receiver)
        await until(lambda: receiver.is_over, what="the response")
        clock.advance(0.9)
        pool.sweep(clock())
        assert pool.idle_count == 1
        clock.advance(0.2)
        pool.sweep(clock())
        assert pool.idle_count == 0
        await until(lambda: upstream.open_count == 0, what="the end of the connection")


async def test_one_that_fails_to_fail_does_not_stop_the_sweep(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(Receiving):
        def response_failed(self, reason: Reason) -> None:
            raise ZeroDivisionError

    clock = Clock()

    async with RecordingUpstream(silent) as upstream, a_pool(upstream.port, clock) as pool:
        pool.sweep(clock())
        faulty, other = Faulty(), Receiving()
        pool.acquire(faulty)
        pool.acquire(other)
        await until(lambda: pool.busy_count == 2, what="the connections")
        clock.advance(2)
        pool.sweep(clock())
        assert other.failure is Reason.UPSTREAM_TIMEOUT
        assert pool.busy_count == 0
        assert "ZeroDivisionError" in caplog.text


async def test_the_state_is_shown() -> None:
    async with a_pool(1) as pool:
        assert repr(pool) == "<Pool up 127.0.0.1:1 [Connections: 0 busy, 0 idle | Requests: 0 waiting]>"
