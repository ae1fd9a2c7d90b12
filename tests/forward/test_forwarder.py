"""Several endpoints: who gets a request, what is sent again and what is not, who is left alone."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from proxy.forward.forwarder import Forwarder
from proxy.forward.standing import State
from proxy.model.decision import Reason
from proxy.model.upstream import Balance, Ejection, Endpoint, Retries
from proxy.tasks import TaskOwner
from tests.forward.test_pool import Receiving, an_upstream, silent
from tests.kit.clock import Clock
from tests.kit.local_proxy import until
from tests.kit.ports import LOOPBACK, free_port, free_ports
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream, Script

ON_BOTH_LOOPS = True


@asynccontextmanager
async def a_forwarder(
    *ports: int, clock: Clock | None = None, **changes: object
) -> AsyncGenerator[Forwarder]:
    tasks = TaskOwner()
    forwarder = Forwarder(an_upstream(*ports, **changes), tasks, clock or Clock())
    yield forwarder
    forwarder.close()
    await tasks.close()


@asynccontextmanager
async def upstreams(*scripts: Script | None) -> AsyncGenerator[Sequence[RecordingUpstream]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(RecordingUpstream(script)) for script in scripts]


async def ask(forwarder: Forwarder, *, affinity: bytes = b"a", is_replayable: bool = True) -> Receiving:
    receiver = Receiving()
    receiver.affinity, receiver.is_replayable = affinity, is_replayable
    forwarder.acquire(receiver)
    await until(lambda: receiver.is_over, what="the end of the request")
    return receiver


async def reset(connection: RecordedConnection) -> None:
    await connection.request()
    connection.reset()


async def once(connection: RecordedConnection) -> None:
    """Answer one request as if more could come, and leave when the next one has."""
    await connection.request()
    await connection.write(OK)
    await connection.request()
    connection.reset()


async def test_one_endpoint_costs_no_more_than_its_pool() -> None:
    async with a_forwarder(1) as forwarder:
        assert forwarder.acquire == forwarder.pools[0].acquire
        assert forwarder.pools[0].standing is None


async def test_endpoints_share_the_authorities_of_their_upstream() -> None:
    """A context takes 50 ms and a megabyte where it has those of the system."""
    endpoints = tuple(Endpoint(host=LOOPBACK, port=port, is_tls=True) for port in (1, 2, 3))
    upstream, tasks = an_upstream(endpoints=endpoints), TaskOwner()
    forwarder = Forwarder(upstream, tasks, Clock())
    contexts = [pool.dialer._tls.context() for pool in forwarder.pools if pool.dialer._tls is not None]
    assert len(contexts) == 3
    assert all(context is contexts[0] for context in contexts)
    forwarder.close()
    await tasks.close()


async def test_requests_are_spread_in_turn() -> None:
    async with upstreams(None, None, None) as up, a_forwarder(*(one.port for one in up)) as forwarder:
        for _ in range(6):
            assert (await ask(forwarder)).status == 200
        assert [len(one.requests) for one in up] == [2, 2, 2]


async def test_one_identity_meets_one_endpoint() -> None:
    async with (
        upstreams(None, None, None) as up,
        a_forwarder(*(one.port for one in up), balance=Balance.CONSISTENT_HASH) as forwarder,
    ):
        met = {
            who: {(await ask(forwarder, affinity=who)).upstream_address for _ in range(3)} for who in NAMES
        }
        assert {len(addresses) for addresses in met.values()} == {1}
        assert len(set.union(*met.values())) == 3


# So many that each endpoint has one, whatever ports they were given: 20 missed one once in a thousand runs.
NAMES = [f"identity-{number}".encode() for number in range(60)]


async def test_the_least_busy_one_is_asked() -> None:
    async with (
        upstreams(silent, None) as up,
        a_forwarder(*(one.port for one in up), balance=Balance.LEAST_OUTSTANDING) as forwarder,
    ):
        stuck = Receiving()
        forwarder.acquire(stuck)
        await until(lambda: stuck.outbound is not None, what="the connection")
        for _ in range(3):
            assert (await ask(forwarder)).status == 200
        assert [len(one.requests) for one in up] == [1, 3]


async def test_nobody_waits_while_another_endpoint_has_room() -> None:
    async with (
        upstreams(silent, None) as up,
        a_forwarder(*(one.port for one in up), max_connections=1) as forwarder,
    ):
        stuck = Receiving()
        forwarder.acquire(stuck)
        await until(lambda: stuck.outbound is not None, what="the connection")
        for _ in range(4):
            assert (await ask(forwarder)).status == 200


@pytest.mark.parametrize("is_replayable", [True, False])
async def test_a_failed_connect_goes_to_another_endpoint_whatever_the_method(is_replayable: bool) -> None:
    """Nothing was sent, so nobody can tell."""
    async with upstreams(None) as (up,), a_forwarder(free_port(), up.port) as forwarder:
        receiver = await ask(forwarder, is_replayable=is_replayable)
        assert receiver.status == 200
        assert receiver.failed_addresses == (forwarder.pools[0].address,)
        assert receiver.upstream_address == forwarder.pools[1].address
        assert forwarder.failures == {Reason.UPSTREAM_UNREACHABLE: 1}


@pytest.mark.parametrize(("is_replayable", "status"), [(True, 200), (False, 0)])
async def test_a_reset_goes_to_another_endpoint_only_if_the_request_can(
    is_replayable: bool, status: int
) -> None:
    async with upstreams(reset, None) as up, a_forwarder(*(one.port for one in up)) as forwarder:
        receiver = await ask(forwarder, is_replayable=is_replayable)
        assert receiver.status == status
        assert receiver.failure is (None if is_replayable else Reason.UPSTREAM_RESET)
        assert len(up[1].requests) == int(is_replayable)


async def test_a_sole_endpoint_that_resets_is_not_asked_again() -> None:
    async with upstreams(reset) as (up,), a_forwarder(up.port) as forwarder:
        assert (await ask(forwarder)).failure is Reason.UPSTREAM_RESET
        assert len(up.connections) == 1


async def test_a_timeout_is_not_sent_again() -> None:
    clock = Clock()
    async with (
        upstreams(silent, None) as up,
        a_forwarder(*(one.port for one in up), clock=clock) as forwarder,
    ):
        receiver = Receiving()
        forwarder.acquire(receiver)
        await until(lambda: receiver.outbound is not None, what="the connection")
        clock.advance(1.1)
        forwarder.sweep(clock())
        assert receiver.failure is Reason.UPSTREAM_TIMEOUT
        assert up[1].byte_count == 0


@pytest.mark.parametrize(("attempts", "asked"), [(0, 1), (1, 2), (2, 3), (9, 4)])
async def test_so_many_attempts_and_each_endpoint_once(attempts: int, asked: int) -> None:
    retries = Retries(attempts=attempts)
    async with (
        upstreams(reset, reset, reset, reset) as up,
        a_forwarder(*(one.port for one in up), retries=retries) as forwarder,
    ):
        receiver = await ask(forwarder)
        assert receiver.failure is Reason.UPSTREAM_RESET
        assert len(receiver.failed_addresses) == asked - 1
        assert sorted(len(one.connections) for one in up) == [0] * (4 - asked) + [1] * asked


async def test_retries_end_with_their_budget() -> None:
    retries = Retries(budget_percent=0, reserve=2)
    ports = free_ports(1)
    async with (
        upstreams(None) as (up,),
        a_forwarder(*ports, up.port, retries=retries, ejection=Ejection(after=100)) as forwarder,
    ):
        met = [(await ask(forwarder)).failure for _ in range(8)]
        assert Counter(met) == {None: 6, Reason.UPSTREAM_UNREACHABLE: 2}
        assert (forwarder.budget.spent, forwarder.budget.refused) == (2, 2)


async def test_a_stale_connection_costs_neither_caller_nor_budget() -> None:
    async with upstreams(once) as (up,), a_forwarder(up.port) as forwarder:
        assert (await ask(forwarder)).status == 200
        receiver = await ask(forwarder)
        assert (receiver.status, receiver.failure) == (200, None)
        assert (forwarder.stale_retries, forwarder.budget.spent, forwarder.failures) == (1, 0, {})
        assert len(up.connections) == 2


async def test_what_cannot_be_sent_again_is_not_even_on_a_stale_connection() -> None:
    async with upstreams(once) as (up,), a_forwarder(up.port) as forwarder:
        assert (await ask(forwarder)).status == 200
        assert (await ask(forwarder, is_replayable=False)).failure is Reason.UPSTREAM_RESET
        assert len(up.connections) == 1


async def test_a_request_meets_one_stale_connection_only() -> None:
    """The others in the pool were closed at the same moment, most likely."""
    async with upstreams(once) as (up,), a_forwarder(up.port) as forwarder:
        both = [Receiving(), Receiving()]
        for receiver in both:
            forwarder.acquire(receiver)
        await until(lambda: all(receiver.is_over for receiver in both), what="the responses")
        assert forwarder.idle_count == 2
        assert (await ask(forwarder)).status == 200
        assert len(up.connections) == 3
        assert forwarder.stale_retries == 1


async def test_who_fails_again_and_again_is_left_alone_and_comes_back() -> None:
    clock = Clock()
    dead = free_port()
    ejection = Ejection(after=2, time_s=10)
    async with (
        upstreams(None) as (up,),
        a_forwarder(dead, up.port, clock=clock, ejection=ejection) as forwarder,
    ):
        standing = forwarder.pools[0].standing
        assert standing is not None
        for _ in range(8):
            assert (await ask(forwarder)).status == 200
        assert (standing.state, standing.ejections) == (State.EJECTED, 1)
        assert forwarder.failures == {Reason.UPSTREAM_UNREACHABLE: 2}
        clock.advance(10)
        forwarder.sweep(clock())
        assert repr(standing).startswith("<Standing half-open")
        assert (await ask(forwarder)).status == 200  # the probe, which met nobody and was sent again
        assert (standing.state, standing.ejections) == (State.EJECTED, 2)
        async with RecordingUpstream(port=dead) as back:
            clock.advance(20)
            forwarder.sweep(clock())
            assert (await ask(forwarder)).status == 200
            assert repr(standing).startswith("<Standing good")
            assert len(back.requests) == 1


async def test_no_more_than_a_share_is_ejected() -> None:
    ejection = Ejection(after=1, max_percent=50)
    async with (
        upstreams(reset, reset, reset, reset) as up,
        a_forwarder(*(one.port for one in up), ejection=ejection) as forwarder,
    ):
        for _ in range(6):
            await ask(forwarder, is_replayable=False)
        states = [pool.standing.state for pool in forwarder.pools if pool.standing is not None]
        assert Counter(states) == {State.EJECTED: 2, State.GOOD: 2}


async def test_if_all_are_out_all_are_used() -> None:
    async with upstreams(None, None) as up, a_forwarder(*(one.port for one in up)) as forwarder:
        for pool in forwarder.pools:
            assert pool.standing is not None
            pool.standing._become(State.UNHEALTHY)
        for _ in range(4):
            assert (await ask(forwarder)).status == 200
        assert [len(one.requests) for one in up] == [2, 2]
        assert repr(forwarder) == "<Forwarder up [2 of 2 endpoints]>"


async def test_a_request_that_waits_can_be_taken_back() -> None:
    async with upstreams(silent) as (up,), a_forwarder(up.port, free_port(), max_connections=1) as forwarder:
        receivers = [Receiving() for _ in range(4)]
        for receiver in receivers:
            receiver.is_replayable = False
            forwarder.acquire(receiver)
        await until(lambda: forwarder.connecting_count == 0, what="the connects")
        for receiver in receivers:
            forwarder.cancel(receiver)
        assert forwarder.waiting_count == 0


async def test_a_drained_upstream_serves_what_it_has_and_is_quiet_then() -> None:
    async with upstreams(silent) as (up,), a_forwarder(up.port) as forwarder:
        stuck = Receiving()
        forwarder.acquire(stuck)
        await until(lambda: forwarder.busy_count == 1, what="the connection")
        forwarder.drain()
        assert not forwarder.is_quiet
        await until(lambda: bool(up.connections), what="the connection at the other end")
        await up.connections[0].write(OK)
        await until(lambda: stuck.is_over, what="the response")
        assert (stuck.status, forwarder.is_quiet, forwarder.idle_count) == (200, True, 0)


async def test_idle_connections_go_with_the_drain() -> None:
    async with upstreams(None) as (up,), a_forwarder(up.port) as forwarder:
        await ask(forwarder)
        assert forwarder.idle_count == 1
        forwarder.drain()
        assert forwarder.is_quiet
        await until(lambda: up.open_count == 0, what="the end of the connection")


async def test_an_upstream_is_recognised_by_what_is_configured() -> None:
    async with a_forwarder(1, 2) as forwarder:
        assert forwarder.upstream == an_upstream(1, 2)
        assert forwarder.upstream != an_upstream(1, 2, retries=Retries(attempts=1))
