import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from proxy.identify.interfaces import Refusal
from proxy.identify.turnstile import LOOKS_PER_TURN, Found, Turnstile
from proxy.model.decision import DENIALS, Reason
from proxy.tasks import TaskOwner
from tests.identify.test_cache import an_identity

ON_BOTH_LOOPS = True

BAD = Refusal(Reason.SIGNATURE_INVALID, "not by that key", "idp")
REFUSED = DENIALS[Reason.SIGNATURE_INVALID]
GOOD = an_identity("idp")


class Line:
    """Requests that wait at a turnstile, and the order in which their tokens were looked at."""

    def __init__(self, misses_per_turn: int = 2) -> None:
        self.turnstile = Turnstile(misses_per_turn)
        self.seen: list[str] = []
        self.owner = TaskOwner()
        self.tasks: list[asyncio.Task[Found]] = []

    async def send(self, *names: str) -> None:
        """
        Let requests come in one turn, after misses that shut it.

        The client stands before the number; a `+` in front of it says that its tokens are good, a `!` that
        looking at them fails.
        """
        asyncio.get_running_loop().call_soon(self._shut)
        self.tasks += [self.owner.spawn(self._pass(name), name=name) for name in names]
        await turns(1)
        assert self.turnstile.waited == len(names)

    async def _pass(self, name: str) -> Found:
        found = GOOD if name.startswith("+") else BAD
        return await self.turnstile.pass_through(name.rstrip("0123456789"), partial(self._look, name, found))

    def _look(self, name: str, found: Found) -> Found:
        self.seen.append(name)
        if name.startswith("!"):
            raise ZeroDivisionError
        return found

    def _shut(self) -> None:
        while self.turnstile.is_open:
            self.turnstile.count(BAD)


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
        assert turnstile.count(REFUSED)
    seen.append(turnstile.is_open)
    await turns(2)
    assert [*seen, turnstile.is_open] == [True, True, True, False, True]
    assert repr(turnstile) == "<Turnstile [0 waiting, 3 of 3 left]>"


@pytest.mark.parametrize(
    "found", [GOOD, Refusal(Reason.KEYS_UNAVAILABLE, "", "idp"), DENIALS[Reason.KEYS_UNAVAILABLE]]
)
async def test_what_is_good_or_has_no_keys_was_not_looked_at_in_vain(found: Found) -> None:
    turnstile = Turnstile(1)
    assert not turnstile.count(found)
    assert turnstile.is_open


async def test_who_comes_while_it_is_open_does_not_wait() -> None:
    turnstile = Turnstile(2)
    for found in (GOOD, GOOD, GOOD, BAD, BAD):
        assert turnstile.is_open
        assert await turnstile.pass_through("a", partial(Line()._look, "a", found)) is found
    assert turnstile.waited == 0
    assert not turnstile.is_open


async def test_in_each_turn_as_many_are_looked_at_in_vain_as_it_allows() -> None:
    names = [f"a{number}" for number in range(100)]
    async with a_line() as line:
        await line.send(*names)
        seen = []
        while len(line.seen) < len(names):
            before = len(line.seen)
            await turns(1)
            seen.append(len(line.seen) - before)
        assert max(seen) == 2
        assert line.seen == names
        await turns(2)
        assert {task.result() for task in line.tasks} == {BAD}
        assert line.turnstile.is_open


async def test_good_ones_are_looked_at_together_but_not_all_in_one_turn() -> None:
    names = [f"+a{number}" for number in range(2 * LOOKS_PER_TURN + 1)]
    async with a_line() as line:
        await line.send(*names)
        seen = []
        while len(line.seen) < len(names):
            assert not line.turnstile.is_open
            before = len(line.seen)
            await turns(1)
            seen.append(len(line.seen) - before)
        assert [count for count in seen if count] == [LOOKS_PER_TURN, LOOKS_PER_TURN, 1]
        assert line.turnstile.is_open  # nobody is bad any more, so that nobody has to wait
        await turns(1)
        assert [task.result() for task in line.tasks] == [GOOD] * len(names)


async def test_clients_take_turns_so_that_one_with_many_keeps_nobody_waiting() -> None:
    async with a_line() as line:
        await line.send(*(f"flood{number}" for number in range(1000)), "one1", "other1", "one2")
        while "one2" not in line.seen:
            await turns(1)
        assert [name for name in line.seen if not name.startswith("flood")] == ["one1", "other1", "one2"]
        assert len(line.seen) <= 6


async def test_a_client_that_always_has_another_good_one_keeps_nobody_waiting() -> None:
    async with a_line() as line:
        await line.send(*(f"+busy{number}" for number in range(200)), "+other1")
        while "+other1" not in line.seen:
            await turns(1)
        assert line.seen.index("+other1") <= LOOKS_PER_TURN


async def test_who_brings_good_ones_does_not_wait_for_the_flood_with_each_of_them() -> None:
    floods = [f"{client}{number}" for number in range(10) for client in "abcdefghij"]
    good = [f"+good{number}" for number in range(30)]
    async with a_line() as line:
        await line.send(*floods, *good)
        while good[-1] not in line.seen:
            await turns(1)
        assert [name for name in line.seen if name.startswith("+")] == good
        rounds = 2  # thirty, sixteen at a time
        assert line.seen.index(good[-1]) < len(good) + rounds * 10


async def test_who_gives_up_leaves_nothing_behind_and_takes_nobodys_turn() -> None:
    async with a_line(1) as line:
        await line.send("a1", "a2", "b1", "a3")
        for number in (0, 2):
            line.tasks[number].cancel()
        await turns(1)
        assert repr(line.turnstile) == "<Turnstile [1 waiting, 0 of 1 left]>"
        await turns(4)
        assert line.seen == ["a2", "a3"]


async def test_who_gives_up_in_the_turn_that_would_look_is_passed_over() -> None:
    async with a_line(1) as line:
        await line.send("a1", "a2")
        line.tasks[0].cancel()
        line.turnstile._turn()
        await turns(4)
        assert line.seen == ["a2"]


async def test_who_gives_up_when_already_looked_at_is_not_told() -> None:
    async with a_line(1) as line:
        await line.send("a1", "a2")
        line.turnstile._turn()
        line.tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await line.tasks[0]
        await turns(4)
        assert line.seen == ["a1", "a2"]


async def test_a_fault_is_told_to_whose_it_is_and_the_others_go_on() -> None:
    async with a_line() as line:
        await line.send("a1", "!b1", "a2")
        with pytest.raises(ZeroDivisionError):
            await line.tasks[1]
        assert await line.tasks[2] is BAD


async def test_it_runs_only_while_there_is_something_to_do() -> None:
    turnstile = Turnstile(2)
    turnstile.count(BAD)
    await turns(3)
    assert not turnstile._is_turning


async def test_whose_turn_does_not_come_in_time_is_told_and_holds_no_place() -> None:
    turnstile, line, owner = Turnstile(0, patience_s=0.05), Line(), TaskOwner()
    early = owner.spawn(turnstile.pass_through("a", partial(line._look, "a", GOOD)), name="early")
    await asyncio.sleep(0.02)
    assert not early.done()
    assert await early is DENIALS[Reason.OVERLOADED]
    assert (line.seen, turnstile._queues) == ([], {})
    await owner.close()
