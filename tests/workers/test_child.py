"""A worker from inside; tests/workers/test_worker.py has it in a process of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from proxy.seat import Seat
from proxy.settings.schema import Settings
from proxy.workers.channel import Channel, Message, Order
from proxy.workers.child import Duty, _work, main
from tests.kit.local_proxy import until
from tests.kit.ports import answers
from tests.test_assemble import settings_of


@pytest_asyncio.fixture
async def duty(tmp_path: Path) -> AsyncIterator[Duty]:
    made = Duty(Seat(number=0, admin_path=tmp_path / "worker-0.sock"))
    yield made
    await made.end()


def other(folder: Path) -> Settings:
    return settings_of(folder, token_cache={"max_entries": 3})


async def test_settings_are_staged_and_then_committed(duty: Duty, tmp_path: Path) -> None:
    assert (await duty.carry_out(Message(order=Order.SERVE, settings=settings_of(tmp_path)))).ok
    proxy = duty.proxy
    assert proxy is not None
    assert answers(proxy.port)
    before = proxy.environment.holder.current
    assert (await duty.carry_out(Message(order=Order.STAGE, settings=other(tmp_path)))).ok
    assert proxy.environment.holder.current is before
    assert proxy.settings.token_cache.max_entries == 10_000
    assert (await duty.carry_out(Message(order=Order.COMMIT, loaded_at=2.5))).ok
    assert proxy.environment.holder.current is not before
    assert proxy.settings.token_cache.max_entries == 3
    assert proxy.policy.loaded_at == 2.5


async def test_what_was_discarded_is_never_committed(duty: Duty, tmp_path: Path) -> None:
    await duty.carry_out(Message(order=Order.SERVE, settings=settings_of(tmp_path)))
    await duty.carry_out(Message(order=Order.STAGE, settings=other(tmp_path)))
    assert (await duty.carry_out(Message(order=Order.DISCARD))).ok
    assert not (await duty.carry_out(Message(order=Order.COMMIT, loaded_at=2.5))).ok
    assert duty.proxy is not None
    assert duty.proxy.settings.token_cache.max_entries == 10_000
    assert duty.proxy.policy.loaded_at != 2.5


async def test_what_goes_wrong_unexpectedly_is_an_answer_too(
    duty: Duty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await duty.carry_out(Message(order=Order.SERVE, settings=settings_of(tmp_path)))
    monkeypatch.setattr("proxy.assemble.compile_policy", None)
    answer = await duty.carry_out(Message(order=Order.STAGE, settings=other(tmp_path)))
    assert (answer.ok, answer.detail) == (False, "unexpected failure, see the log")


async def test_without_a_supervisor_it_ends_and_removes_what_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "runtime"
    folder.mkdir()
    duty = Duty(Seat(number=0, admin_path=folder / "worker-0.sock"))
    ours, theirs = socket.socketpair()
    async with asyncio.TaskGroup() as group:
        working = group.create_task(_work(duty, theirs, folder))
        supervisor = await Channel.on(ours)
        supervisor.order(Message(order=Order.SERVE, settings=settings_of(tmp_path)))
        assert (await supervisor.next_answer()).ok
        assert duty.proxy is not None
        port = duty.proxy.port
        assert answers(port)
        supervisor.close()
        await until(working.done, what="the end")
    assert not answers(port)
    assert not folder.exists()


def test_nobody_starts_one_by_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "--channel" in capsys.readouterr().err
