"""Several workers under one supervisor, in processes of their own."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.workers.channel import Answer, Message, Order
from proxy.workers.supervisor import Supervisor
from proxy.workers.worker import Worker
from tests.journeys.test_upgrade import ANSWER, HANDSHAKE, answering_with
from tests.journeys.trail import configuration, ids_of, ids_seen_by, load, statuses_of_next
from tests.kit.local_proxy import get, until
from tests.kit.ports import answers
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import ScriptedClient
from tests.test_assemble import settings_of
from tests.workers.crew import Crew, is_alive

OTHER_ROLES = {"caller": {"bindings": [{"issuer": "idp", "claims": {"team": "b"}}]}}
FOLDER = re.compile(r"--admin=(.*)/worker-\d+\.sock")


@asynccontextmanager
async def crew_before(
    upstream: RecordingUpstream, folder: Path, *, shutdown: str = "30s"
) -> AsyncIterator[Crew]:
    config = configuration(upstream.url, folder, listen={"timeouts": {"shutdown": shutdown}})
    async with Crew(config) as crew:
        yield crew


def runtime_folder(pid: int) -> Path:
    found = FOLDER.search(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
    assert found is not None
    return Path(found[1])


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def wait_for_exit(crew: Crew, timeout_s: float = 20.0) -> int:
    return await asyncio.to_thread(crew._popen.wait, timeout_s)


async def test_all_workers_serve_and_end_together(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream:
        async with crew_before(upstream, tmp_path) as crew:
            for _ in range(20):
                async with ScriptedClient(crew.port) as client:
                    assert (await client.request(get())).status == 200
            pids = crew.pids()
            assert set(pids) == {0, 1}
            folder = runtime_folder(pids[0])
            assert folder.stat().st_mode & 0o777 == 0o700
            assert await asyncio.to_thread(crew.terminate) == 0
            assert not any(map(is_alive, pids.values()))
            assert not folder.exists()
            nodes = {str(record["node"]).rpartition("/")[2] for record in crew.all_records()}
            assert nodes == {"0", "1"}
            assert len(crew.all_records()) == 40
        await until(lambda: upstream.open_count == 0, what="the end of upstream connections")


async def test_a_killed_worker_comes_back_and_goes_on_with_its_chain(tmp_path: Path) -> None:
    """Others serve on meanwhile; no request was forwarded of which there is no record."""
    async with RecordingUpstream() as upstream, crew_before(upstream, tmp_path) as crew:
        async with load(crew) as responses:
            await statuses_of_next(responses, 50)
            for number in (0, 1, 0):
                pid = crew.pids()[number]
                os.kill(pid, signal.SIGKILL)
                assert set(await statuses_of_next(responses, 30)) == {200}
                await until(
                    lambda number=number, pid=pid: crew.pids()[number] != pid,  # type: ignore[misc] # bound now
                    what="the successor",
                    timeout_s=20.0,
                )
                assert is_alive(crew.pids()[number])
            # New connections reach the successor too.
            for _ in range(20):
                async with ScriptedClient(crew.port) as client:
                    assert (await client.request(get())).status == 200
        assert await asyncio.to_thread(crew.terminate) == 0
        assert all(crew.chain(number) for number in (0, 1))
        decided = ids_of(crew.all_records(), "decision")
        assert len(decided) == len(set(decided))
        assert ids_seen_by(upstream) <= set(decided)
        assert "ended (signal 9); starting it again in 0.1 s" in crew.log_text()


async def test_a_worker_that_is_told_to_end_finishes_its_requests_and_is_replaced(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, crew_before(upstream, tmp_path) as crew:
        pid = crew.pids()[1]
        os.kill(pid, signal.SIGTERM)
        await until(lambda: crew.pids()[1] != pid, what="the successor", timeout_s=20.0)
        assert "worker 1 ended (exit code 0)" in crew.log_text()
        assert await asyncio.to_thread(crew.terminate) == 0


async def test_a_stop_under_load_finishes_every_request(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, crew_before(upstream, tmp_path) as crew:
        async with load(crew) as responses:
            await statuses_of_next(responses, 100)
            crew.send_signal(signal.SIGTERM)
            assert await wait_for_exit(crew) == 0
        assert {response.status for response in responses} == {200}
        records = crew.all_records()
        assert set(ids_of(records, "decision")) == set(ids_of(records, "outcome")) == ids_seen_by(upstream)
        assert {record["reason"] for record in records if record["kind"] == "outcome"} == {"completed"}
        assert not any(map(is_alive, crew.pids().values()))


async def test_what_does_not_end_in_time_is_reset_and_the_exit_code_is_0(tmp_path: Path) -> None:
    async def never(connection: RecordedConnection) -> None:
        await connection.request()
        await asyncio.sleep(60)

    async with (
        RecordingUpstream(never) as upstream,
        crew_before(upstream, tmp_path, shutdown="300ms") as crew,
    ):
        async with ScriptedClient(crew.port) as client:
            await client.send(get())
            await until(lambda: len(upstream.requests) == 1, what="the request")
            crew.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionResetError):
                await client.reader.read()
        assert await wait_for_exit(crew) == 0


async def test_a_worker_that_is_stuck_at_the_end_is_killed(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, crew_before(upstream, tmp_path, shutdown="100ms") as crew:
        pid = crew.pids()[0]
        os.kill(pid, signal.SIGSTOP)
        crew.send_signal(signal.SIGTERM)
        assert await wait_for_exit(crew) == 0
        assert not is_alive(pid)
        assert f"worker 0 (pid {pid}) did not stop in time; killing it" in crew.log_text()


async def test_workers_end_in_order_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    """What is in flight is finished, the port is free, and nothing is left in the temporary folder."""
    opened = asyncio.Event()

    async def slowly(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await opened.wait()
            await connection.write(OK)

    async with RecordingUpstream(slowly) as upstream, crew_before(upstream, tmp_path) as crew:
        pids = crew.pids()
        folder = runtime_folder(pids[0])
        async with ScriptedClient(crew.port) as client:
            await client.send(get())
            await until(lambda: len(upstream.requests) == 1, what="the request")
            crew.kill()
            await until(lambda: not answers(crew.port), what="the end of listening")
            opened.set()
            assert (await client.read_response()).status == 200
        await until(lambda: not any(map(is_alive, pids.values())), what="the end of the workers")
        assert not folder.exists()
        assert crew.log_text().count("the supervisor is gone; stopping") == 2


async def test_workers_that_hang_when_their_supervisor_is_killed_finish_requests_and_end(
    tmp_path: Path,
) -> None:
    """An order that never ends keeps a worker from nothing but its own exit, and that is bounded."""
    opened = asyncio.Event()

    async def slowly(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await opened.wait()
            await connection.write(OK)

    async with (
        RecordingUpstream(slowly) as upstream,
        crew_before(upstream, tmp_path, shutdown="2s") as crew,
    ):
        pids = crew.pids()
        async with ScriptedClient(crew.port) as client:
            await client.send(get())
            await until(lambda: len(upstream.requests) == 1, what="the request")
            with nothing_to_read(tmp_path / "jwks.json") as pipe:
                crew.send_signal(signal.SIGHUP)
                await until(lambda: all(has_open(pid, pipe) for pid in pids.values()), what="the long order")
                crew.kill()
                await until(lambda: not answers(crew.port), what="the end of listening")
                opened.set()
                assert (await client.read_response()).status == 200
                await until(lambda: not any(map(is_alive, pids.values())), what="the end", timeout_s=30.0)
        outcomes = [record for record in crew.all_records() if record["kind"] == "outcome"]
        assert [record["reason"] for record in outcomes] == ["completed"]
        for number in (0, 1):
            assert f"worker {number}: did not end in time; killing myself" in crew.log_text()


@contextmanager
def nothing_to_read(path: Path) -> Iterator[Path]:
    """Put a pipe in place of a file: whoever reads it waits for ever."""
    path.unlink()
    os.mkfifo(path)
    end = os.open(path, os.O_RDWR)
    try:
        yield path
    finally:
        os.close(end)


def has_open(pid: int, path: Path) -> bool:
    """Say whether a process has opened a file."""
    return any(os.path.realpath(link) == str(path) for link in Path(f"/proc/{pid}/fd").iterdir())


async def test_a_terminal_s_interrupt_ends_all_in_order(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, crew_before(upstream, tmp_path) as crew:
        crew.send_signal(signal.SIGINT)
        assert await wait_for_exit(crew) == 0
        assert "Traceback" not in crew.log_text()


@pytest.mark.parametrize("taken", ["listen", "admin"])
async def test_a_taken_port_is_exit_code_2(tmp_path: Path, taken: str) -> None:
    """A second instance would otherwise share the port of the first, which asked for the same option."""
    async with RecordingUpstream() as upstream, crew_before(upstream, tmp_path) as crew:
        port = crew.port if taken == "listen" else crew.admin_port
        other = Crew({**configuration(upstream.url, tmp_path), taken: {"address": f"127.0.0.1:{port}"}})
        with pytest.raises(RuntimeError, match="ended with code 2") as caught:
            await asyncio.to_thread(other.start)
        assert "cannot listen" in str(caught.value)
        assert "Traceback" not in str(caught.value)
        assert crew.is_running


async def test_a_worker_that_cannot_start_is_exit_code_2(tmp_path: Path) -> None:
    config = configuration("http://127.0.0.1:9", tmp_path)
    (tmp_path / "jwks.json").write_text("{}")
    with pytest.raises(RuntimeError, match="ended with code 2") as caught:
        await asyncio.to_thread(Crew(config).start)
    assert "`jwks_file` of issuer `idp`" in str(caught.value)


async def test_the_system_may_choose_the_port(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path, listen={"address": "127.0.0.1:0"})
        async with Crew(config) as crew:
            found = re.search(r"listening on 127\.0\.0\.1:(\d+) with 2 workers", crew.log_text())
            assert found is not None
            async with ScriptedClient(int(found[1])) as client:
                assert (await client.request(get())).status == 200


async def test_one_worker_is_what_it_always_was(tmp_path: Path) -> None:
    """Its audit file keeps its plain name, and there is no second process."""
    async with (
        RecordingUpstream() as upstream,
        RunningProxy({"workers": 1, **configuration(upstream.url, tmp_path)}) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(get())).status == 200
        assert children_of(proxy.pid) == []
        await until(lambda: len(proxy.audit_records()) == 2, what="both records")


async def test_diagnostics_name_the_worker_that_writes_them(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, crew_before(upstream, tmp_path) as crew:
        await asyncio.to_thread(crew.terminate)
        for number in (0, 1):
            assert f"worker {number}: stopped; 0 connections had to be reset" in crew.log_text()


# Reloads that one worker cannot follow


@asynccontextmanager
async def supervised(folder: Path) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(settings_of(folder), 2, "text")
    await supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


async def versions(supervisor: Supervisor) -> list[str]:
    """Return the version of the policy that each worker has in force."""
    reports = [await worker.report(10.0) for worker in supervisor.workers.values()]
    return [
        sample.labels["version"]
        for report in reports
        if report is not None
        for family in report.families
        if family.name == "rolegate_policy_info"
        for sample in family.samples
    ]


async def test_if_one_worker_cannot_prepare_none_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.workers.supervisor.STAGE_S", 0.5)
    async with supervised(tmp_path) as supervisor:
        before = await versions(supervisor)
        other = settings_of(tmp_path, roles=OTHER_ROLES)
        stuck = supervisor.workers[1].pid
        os.kill(stuck, signal.SIGSTOP)
        with pytest.raises(ConfigurationError, match=r"worker 1 did not answer within 0.5 s"):
            await supervisor.apply(other)
        os.kill(stuck, signal.SIGCONT)
        monkeypatch.setattr("proxy.workers.supervisor.STAGE_S", 20.0)
        assert await versions(supervisor) == before
        await supervisor.apply(other)
        after = await versions(supervisor)
        assert len(after) == 2
        assert set(after).isdisjoint(before)
        assert supervisor.workers[1].pid == stuck


async def test_what_one_worker_cannot_use_comes_into_force_in_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file was there when the supervisor and one worker looked, and was gone for the other."""
    tell = Worker.tell

    def removing(worker: Worker, message: Message) -> "asyncio.Future[Answer]":
        if message.order is Order.STAGE and worker.number == 1:
            assert message.settings is not None
            issuers = {
                alias: issuer.model_copy(update={"jwks_file": tmp_path / "gone.json"})
                for alias, issuer in message.settings.issuers.items()
            }
            settings = message.settings.model_copy(update={"issuers": issuers})
            message = Message(order=message.order, settings=settings, loaded_at=message.loaded_at)
        return tell(worker, message)

    async with supervised(tmp_path) as supervisor:
        before = await versions(supervisor)
        pids = [worker.pid for worker in supervisor.workers.values()]
        other = settings_of(tmp_path, roles=OTHER_ROLES)
        with monkeypatch.context() as patch:
            patch.setattr(Worker, "tell", removing)
            with pytest.raises(ConfigurationError, match=r"gone\.json`: No such file or directory"):
                await supervisor.apply(other)
        assert await versions(supervisor) == before
        await supervisor.apply(other)
        assert set(await versions(supervisor)).isdisjoint(before)
        assert [worker.pid for worker in supervisor.workers.values()] == pids


async def test_what_cannot_be_cleared_behind_a_worker_does_not_keep_the_next_one_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(number: int) -> None:
        raise OSError(f"worker {number} left something")

    supervisor = Supervisor(settings_of(tmp_path), 2, "text", None, fail)
    await supervisor.start()
    try:
        pid = supervisor.workers[0].pid
        os.kill(pid, signal.SIGKILL)
        await until(
            lambda: all_serve(supervisor) and supervisor.workers[0].pid != pid,
            what="the successor",
            timeout_s=20.0,
        )
        assert "what worker 0 left behind could not be cleared" in caplog.text
    finally:
        await supervisor.stop()


async def test_a_worker_that_dies_while_it_prepares_stops_the_reload(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        before = await versions(supervisor)
        os.kill(supervisor.workers[0].pid, signal.SIGSTOP)
        applying = asyncio.gather(supervisor.apply(settings_of(tmp_path, roles=OTHER_ROLES)))
        await asyncio.sleep(0.05)
        os.kill(supervisor.workers[0].pid, signal.SIGKILL)
        with pytest.raises(ConfigurationError, match="worker 0 ended"):
            await applying
        await until(lambda: all_serve(supervisor), what="the successor", timeout_s=20.0)
        assert await versions(supervisor) == before


async def test_a_worker_that_does_not_follow_is_replaced_by_one_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the moment on at which the first follows, nobody serves by the old configuration for long."""
    monkeypatch.setattr("proxy.workers.supervisor.COMMIT_S", 0.5)
    tell = Worker.tell

    def stopping(worker: Worker, message: Message) -> "asyncio.Future[Answer]":
        if message.order is Order.COMMIT and worker.number == 1:
            os.kill(worker.pid, signal.SIGSTOP)
        return tell(worker, message)

    async with supervised(tmp_path) as supervisor:
        before = await versions(supervisor)
        stuck = supervisor.workers[1].pid
        monkeypatch.setattr(Worker, "tell", stopping)
        await supervisor.apply(settings_of(tmp_path, roles=OTHER_ROLES))
        await until(
            lambda: all_serve(supervisor) and supervisor.workers[1].pid != stuck,
            what="the successor",
            timeout_s=20.0,
        )
        after = await versions(supervisor)
        assert len(after) == 2
        assert set(after).isdisjoint(before)


def all_serve(supervisor: Supervisor) -> bool:
    return len(supervisor.workers) == 2 and all(w.is_serving for w in supervisor.workers.values())


async def test_a_process_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(*_: object) -> Worker:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    async with supervised(tmp_path) as supervisor:
        pid = supervisor.workers[0].pid
        with monkeypatch.context() as patch:
            patch.setattr(Worker, "start", refuse)
            os.kill(pid, signal.SIGKILL)
            await until(lambda: caplog.text.count("cannot start a process") == 2, what="two attempts")
        await until(lambda: all_serve(supervisor), what="the successor", timeout_s=20.0)
        assert supervisor.workers[0].pid != pid


async def test_a_reload_does_not_wait_for_a_worker_that_leaves(tmp_path: Path) -> None:
    """Somebody has ended it alone, and a stream keeps it for long: news of the policy cannot wait so long."""
    async with RecordingUpstream(answering_with(ANSWER)) as upstream:
        config = configuration(upstream.url, tmp_path)
        routes = config["routes"]
        assert isinstance(routes, list)
        routes[0]["upgrade"] = ["websocket"]
        async with Crew(config) as crew, ScriptedClient(crew.port) as client:
            assert (await client.request(HANDSHAKE)).status == 101
            [number] = [number for number in range(2) if crew.chain(number)]
            pid = crew.pids()[number]
            os.kill(pid, signal.SIGTERM)
            down = f'rolegate_worker_up{{worker="{number}"}} 0.0'
            await until(lambda: down in crew.metrics_text(), what="its leaving")
            crew.write_config({**config, "workers": 2, "roles": OTHER_ROLES})
            crew.send_signal(signal.SIGHUP)
            await until(lambda: "reloaded `" in crew.log_text(), what="the reload")
            assert is_alive(pid)
            async with ScriptedClient(crew.port) as other:
                assert (await other.request(get())).status == 403
            client.reset()
            await until(lambda: crew.pids()[number] != pid, what="its successor", timeout_s=30)
            answers = []
            for _ in range(12):
                async with ScriptedClient(crew.port) as other:
                    answers.append((await other.request(get())).status)
            assert answers == [403] * 12
