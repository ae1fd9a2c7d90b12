"""
Names and what they resolve to: one lookup at a time, the old answer while there is no new one.

Loopback has no names that change, so `resolve`, the one call into the system, is a script here.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from proxy.forward.names import MAX_ADDRESSES, Name, resolve
from proxy.tasks import TaskOwner
from tests.kit.local_proxy import until

Answer = tuple[str, ...] | OSError


class Answers:
    """A name server of which the test says what it answers; `gate` holds answers back."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, host: str) -> tuple[str, ...]:
        self.asked += 1
        await self.gate.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer


@asynccontextmanager
async def a_name(
    patch: pytest.MonkeyPatch, *answers: Answer, timeout_s: float = 5
) -> AsyncGenerator[tuple[Name, Answers]]:
    script = Answers(*answers)
    patch.setattr("proxy.forward.names.resolve", script)
    tasks = TaskOwner()
    yield Name("a.example", 30, timeout_s, tasks), script
    await tasks.close()


async def test_addresses_are_taken_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_name(monkeypatch, ("a", "b", "c")) as (name, script):
        found = [await name.find(0) for _ in range(4)]
        assert found == [("b", "c", "a"), ("c", "a", "b"), ("a", "b", "c"), ("b", "c", "a")]
        assert script.asked == 1


async def test_many_who_ask_at_once_cause_one_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_name(monkeypatch, ("a",)) as (name, script):
        script.gate.clear()
        tasks = TaskOwner()
        asking = [tasks.spawn(name.find(0), name="ask") for _ in range(20)]
        await until(lambda: script.asked > 0, what="the lookup")
        asking.pop().cancel()
        script.gate.set()
        assert await asyncio.gather(*asking) == [("a",)] * 19
        assert script.asked == 1


async def test_an_old_answer_is_used_while_the_next_one_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_name(monkeypatch, ("a",), ("b",)) as (name, script):
        changes: list[tuple[str, ...]] = []
        name.on_change = lambda: changes.append(name.addresses)
        await name.find(0)
        name.sweep(29.9)
        assert script.asked == 1
        name.sweep(30)
        assert await name.find(30) == ("a",)
        await until(lambda: name.addresses == ("b",), what="the new answer")
        assert changes == [("b",)]


async def test_an_address_that_is_added_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_name(monkeypatch, ("a",), ("a", "b")) as (name, _):
        changes: list[None] = []
        name.on_change = lambda: changes.append(None)
        await name.find(0)
        name.sweep(30)
        await until(lambda: name.addresses == ("a", "b"), what="the new answer")
        assert changes == []


async def test_an_answer_outlives_a_name_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_name(monkeypatch, ("a",), OSError("away"), ("b",)) as (name, script):
        await name.find(0)
        name.sweep(30)
        await until(lambda: name.failures == 1, what="the failure")
        assert await name.find(30.5) == ("a",)
        name.sweep(30.9)
        assert script.asked == 2  # not at once again
        name.sweep(31)
        await until(lambda: name.addresses == ("b",), what="the new answer")
        assert (name.lookups, name.failures) == (3, 1)


async def test_a_name_without_an_answer_has_no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_name(monkeypatch, OSError("no such name")) as (name, _):
        assert await name.find(0) == ()
        assert repr(name) == "<Name a.example []>"


async def test_a_lookup_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_name(monkeypatch, ("a",), timeout_s=0.05) as (name, script):
        script.gate.clear()
        assert await name.find(0) == ()
        assert name.failures == 1


async def test_the_system_is_asked_once_for_all_addresses_and_few_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set(await resolve("localhost")) <= {"127.0.0.1", "::1"}

    async def many(*arguments: object, **named: object) -> list[object]:
        return [(socket.AF_INET, 1, 6, "", (f"10.0.{n // 2}.1", 0)) for n in range(100)]

    # uvloop's loop has no dict to patch.
    stand_in = SimpleNamespace(get_running_loop=lambda: SimpleNamespace(getaddrinfo=many))
    monkeypatch.setattr("proxy.forward.names.asyncio", stand_in)
    found = await resolve("a.example")
    assert found == tuple(f"10.0.{n}.1" for n in range(MAX_ADDRESSES))
