import asyncio
import gc

import pytest

from proxy.tasks import TaskOwner


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_task_has_its_name_and_is_counted_until_it_ends() -> None:
    owner = TaskOwner()
    task = owner.spawn(asyncio.sleep(0), name="nap")
    assert task.get_name() == "nap"
    assert len(owner) == 1
    assert repr(owner) == "<TaskOwner [1 running]>"
    await task
    await asyncio.sleep(0)
    assert len(owner) == 0


async def test_a_task_that_nobody_holds_is_not_collected() -> None:
    owner, done = TaskOwner(), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.set()

    owner.spawn(work(), name="work")
    gc.collect()
    await asyncio.wait_for(done.wait(), 5)


async def test_closing_cancels_every_task_and_waits_for_its_end() -> None:
    owner, ended = TaskOwner(), []

    async def work(number: int) -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.01)
            ended.append(number)

    for number in range(3):
        owner.spawn(work(number), name=f"work {number}")
    await asyncio.sleep(0)
    await owner.close()
    assert sorted(ended) == [0, 1, 2]
    assert len(owner) == 0


async def test_closing_ends_what_a_task_spawned_on_its_way_out() -> None:
    owner = TaskOwner()

    async def work() -> None:
        try:
            await forever()
        finally:
            owner.spawn(forever(), name="late")

    owner.spawn(work(), name="work")
    await asyncio.sleep(0)
    await asyncio.wait_for(owner.close(), 5)
    assert len(owner) == 0


async def test_closing_twice_or_with_nothing_to_close_is_no_error() -> None:
    owner = TaskOwner()
    await owner.close()
    await owner.close()


async def test_a_task_that_fails_is_logged_and_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    owner = TaskOwner()

    async def fail() -> None:
        raise ValueError("broken")

    other = owner.spawn(forever(), name="other")
    owner.spawn(fail(), name="failing")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records] == ["task `failing` failed"]
    assert caplog.records[0].exc_info is not None
    assert not other.done()
    await owner.close()


async def test_a_cancelled_task_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    owner = TaskOwner()
    owner.spawn(forever(), name="work")
    await owner.close()
    assert caplog.records == []
