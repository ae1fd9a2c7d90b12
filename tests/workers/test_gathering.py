"""Asking all workers takes bounded time, and says who did not answer."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from proxy.control.families import Family, Report, Sample
from proxy.tasks import TaskOwner
from proxy.workers.gathering import Gathering


class Telling:
    """A worker that answers with a number, after `gate` is open."""

    def __init__(self, number: int, value: float, *missing: str) -> None:
        self.number = number
        self.value = value
        self.missing = list(missing)
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0

    async def report(self, within_s: float) -> Report | None:
        self.asked += 1
        try:
            async with asyncio.timeout(0.1):
                await self.gate.wait()
        except TimeoutError:
            return None
        family = Family("rolegate_x", "X.", "counter", [Sample("rolegate_x_total", {}, self.value)])
        return Report([family], self.missing)


def gathering(*workers: Telling) -> Gathering:
    made = Gathering(CollectorRegistry(auto_describe=False), TaskOwner())
    made.workers.update({worker.number: worker for worker in workers})
    return made


def total(made: Gathering) -> float:
    return sum(sample.value for metric in made.collect() for sample in metric.samples)


async def test_before_anybody_was_asked_nobody_is_ready() -> None:
    assert gathering(Telling(0, 1)).missing([0]) == ["worker 0 does not answer"]


async def test_everybody_is_asked_and_named() -> None:
    made = gathering(Telling(0, 1), Telling(1, 2, "issuer `idp` has no keys"))
    await made.look()
    assert made.missing([0, 1, 2]) == [
        "worker 1: issuer `idp` has no keys",
        "worker 2 is not running",
    ]
    assert total(made) == 3


async def test_who_is_stuck_is_named_and_counted_as_of_before() -> None:
    stuck = Telling(1, 2)
    made = gathering(Telling(0, 1), stuck)
    await made.look()
    stuck.gate.clear()
    await made.look()
    assert made.missing([0, 1]) == ["worker 1 does not answer"]
    assert total(made) == 3


async def test_those_who_ask_together_share_one_round() -> None:
    worker = Telling(0, 1)
    made = gathering(worker)
    await asyncio.gather(*(made.look() for _ in range(10)))
    assert worker.asked == 1
    await made.look()
    assert worker.asked == 2


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_worker_that_ends_while_it_is_asked_is_counted_once(is_replaced: bool) -> None:
    worker = Telling(0, 5)
    made = gathering(worker)
    await made.look()
    worker.gate.clear()
    looking = asyncio.gather(made.look())
    await asyncio.sleep(0.01)
    made.ended(0)
    if is_replaced:
        made.workers[0] = Telling(0, 1)
    worker.gate.set()
    await looking
    assert total(made) == 5
    await made.look()
    assert total(made) == (6 if is_replaced else 5)
