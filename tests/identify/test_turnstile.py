import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.identify.turnstile import Turnstile
from proxy.tasks import TaskOwner

ON_BOTH_LOOPS = True


class Line:
    """Requests that wait at a turnstile, and the order in which they got through."""

    def __init__(self, misses_per_turn: int = 2) -> None:
        self.turnstile = Turnstile(misses_per_turn)
        self.through: list[str] = []
        self.owner = TaskOwner()
        self.tasks: list[asyncio.Task[None]] = []

    async def send(self, *names: str) -> None:
        """Let requests come in one turn, after misses that shut it; their client stands before the number."""
        asyncio.get_running_loop().call_soon(self._shut)
        self.tasks += [self.owner.spawn(self._pass(name), name=name) for name in names]
        await turns(1)
        assert self.turnstile.waited == len(names)

    async def _pass(self, name: str) -> None:
        await self.turnstile.wait(name.rstrip("0123456789"))
        self.through.append(name)

    def _shut(self) -> None:
        while self.turnstile.is_open:
            self.turnstile.miss()


@asynccontextmanager
async def a_line(misses_per_turn: int = 2) -> AsyncIterator[Line]:
    line = Line(misses_per_turn)
    yield line
    await line.owner.close()
    assert line.turnstile._queues == {}


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_it_is_open_until_as_many_were_looked_at_in_vain_as_a_turn_allows() -> None:
    turnstile = Turnstile(3)
    seen = []
    for _ in range(3):
        seen.append(turnstile.is_open)
        turnstile.miss()
    seen.append(turnstile.is_open)
    await turns(2)
    assert [*seen, turnstile.is_open] == [True, True, True, False, True]
    assert repr(turnstile) == "<Turnstile [0 waiting, 3 of 3 left]>"


async def test_who_comes_while_it_is_open_does_not_wait() -> None:
    turnstile = Turnstile(2)
    await turnstile.wait("a")
    await turnstile.wait("a")
    assert turnstile.waited == 0
    assert not turnstile.is_open


async def test_in_each_turn_as_many_get_through_as_it_allows() -> None:
    async with a_line() as line:
        await line.send(*(f"a{number}" for number in range(100)))
        passed = []
        while len(line.through) < 100:
            before = len(line.through)
            await turns(1)
            passed.append(len(line.through) - before)
        assert max(passed) == 2
        assert line.through == [f"a{number}" for number in range(100)]
        await turns(2)
        assert line.turnstile.is_open


async def test_nobody_gets_ahead_of_those_who_wait() -> None:
    async with a_line() as line:
        await line.send(*(f"a{number}" for number in range(20)))
        while line.turnstile._queues:
            assert not line.turnstile.is_open
            await turns(1)
        assert line.turnstile._left <= 2


async def test_clients_take_turns_so_that_one_with_many_keeps_nobody_waiting() -> None:
    async with a_line() as line:
        await line.send(*(f"flood{number}" for number in range(1000)), "good1", "other1", "good2")
        while "good2" not in line.through:
            await turns(1)
        assert [name for name in line.through if not name.startswith("flood")] == ["good1", "other1", "good2"]
        assert len(line.through) <= 6


async def test_who_gives_up_leaves_nothing_behind_and_takes_nobodys_turn() -> None:
    async with a_line(1) as line:
        await line.send("a1", "a2", "b1", "a3")
        for number in (0, 2):
            line.tasks[number].cancel()
        await turns(1)
        assert repr(line.turnstile) == "<Turnstile [2 waiting, 0 of 1 left]>"
        await turns(4)
        assert line.through == ["a2", "a3"]


async def test_who_gives_up_in_the_turn_that_would_let_it_through_is_passed_over() -> None:
    async with a_line(1) as line:
        await line.send("a1", "a2")
        line.tasks[0].cancel()
        line.turnstile._turn()
        await turns(4)
        assert line.through == ["a2"]


async def test_who_gives_up_when_already_let_through_does_not_go_on() -> None:
    async with a_line(1) as line:
        await line.send("a1", "a2")
        line.turnstile._turn()
        line.tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await line.tasks[0]
        await turns(4)
        assert line.through == ["a2"]


async def test_it_runs_only_while_there_is_something_to_do() -> None:
    turnstile = Turnstile(2)
    turnstile.miss()
    await turns(3)
    assert not turnstile._is_turning
