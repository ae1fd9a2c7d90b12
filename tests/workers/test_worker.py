"""A worker as its supervisor sees it: a real process, obedient, stuck or dead."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.tasks import TaskOwner
from proxy.workers.channel import Message, Order
from proxy.workers.share import share_of
from proxy.workers.worker import Worker, WorkerError, command
from tests.kit.local_proxy import get, until
from tests.kit.ports import free_port
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient
from tests.test_assemble import settings_of

WITHIN_S = 30.0


@asynccontextmanager
async def started(folder: Path, **descriptors: int) -> AsyncIterator[Worker]:
    tasks = TaskOwner()
    worker = await Worker.start(3, folder, "text", descriptors, tasks)
    try:
        yield worker
    finally:
        worker.kill()
        await worker.ended()
        await tasks.close()


def serve(folder: Path, upstream_url: str, port: int) -> Message:
    upstreams = {"api": {"url": upstream_url}}
    share = share_of(settings_of(folder, upstreams=upstreams), 3, 4, ports=[port], node="web")
    return Message(order=Order.SERVE, settings=share, loaded_at=1.5)


async def test_it_serves_reports_and_stops(tmp_path: Path) -> None:
    port = free_port()
    async with RecordingUpstream() as upstream, started(tmp_path) as worker:
        assert await worker.report(1.0) is None
        await worker.ask(serve(tmp_path, upstream.url, port), WITHIN_S)
        async with ScriptedClient(port) as client:
            assert (await client.request(get())).status == 200
        report = await worker.report(WITHIN_S)
        assert report is not None
        numbers = {sample.name: sample.value for family in report.families for sample in family.samples}
        assert numbers["rolegate_client_connections_accepted_total"] == 1
        assert numbers["rolegate_policy_loaded_timestamp_seconds"] == 1.5
        assert report.missing == []
        await worker.ask(Message(order=Order.STOP), WITHIN_S)
        assert await worker.ended() == 0
        assert not worker.admin_path.exists()
        assert (tmp_path / "audit.3.jsonl").read_text().count('"node":"web/3"') == 2


async def test_what_it_cannot_do_comes_back_in_words(tmp_path: Path) -> None:
    async with started(tmp_path) as worker:
        with pytest.raises(WorkerError, match="the worker does not serve yet"):
            await worker.ask(Message(order=Order.STAGE, settings=settings_of(tmp_path)), WITHIN_S)
        with pytest.raises(WorkerError, match="came without settings"):
            await worker.ask(Message(order=Order.SERVE), WITHIN_S)


async def test_one_that_is_stuck_is_waited_for_within_bounds(tmp_path: Path) -> None:
    """A late answer is taken for the question that it belongs to."""
    async with started(tmp_path) as worker:
        with pytest.raises(WorkerError, match="without settings"):
            await worker.ask(Message(order=Order.SERVE), WITHIN_S)
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(WorkerError, match=r"worker 3 did not answer within 0.2 s"):
            await worker.ask(Message(order=Order.SERVE), 0.2)
        assert await worker.report(0.2) is None
        told = worker.tell(Message(order=Order.DISCARD))
        os.kill(worker.pid, signal.SIGCONT)
        await worker.answer_to(told, WITHIN_S)


async def test_the_death_of_one_is_an_answer_to_everybody_who_waits(tmp_path: Path) -> None:
    async with started(tmp_path) as worker:
        os.kill(worker.pid, signal.SIGSTOP)
        told = [worker.tell(Message(order=Order.DISCARD)) for _ in range(3)]
        worker.kill()
        for one in told:
            with pytest.raises(WorkerError, match="worker 3 ended"):
                await worker.answer_to(one, WITHIN_S)
        assert await worker.ended() == -signal.SIGKILL
        assert await worker.report(0.2) is None
        worker.kill()
        with pytest.raises(WorkerError):
            await worker.ask(Message(order=Order.DISCARD), 0.2)


async def test_open_files_of_the_supervisor_are_there_under_the_same_number(tmp_path: Path) -> None:
    shared = os.memfd_create("table")
    try:
        async with started(tmp_path, rates=shared) as worker:
            process = Path(f"/proc/{worker.pid}")
            assert str((process / f"fd/{shared}").readlink()).startswith("/memfd:table")
            assert f"--descriptor=rates={shared}" in (process / "cmdline").read_text()
            await until(lambda: os.getsid(worker.pid) == worker.pid, what="a session of its own")
    finally:
        os.close(shared)


def test_the_working_directory_is_no_place_to_import_from() -> None:
    assert "-P" in command(0, 5, Path("/run/x.sock"), "json", {})
