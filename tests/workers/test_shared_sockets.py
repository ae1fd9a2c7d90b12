"""Several workers on sockets that only one process can have made: the supervisor makes them, all listen."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.journeys.trail import configuration, ids_of, ids_seen_by
from tests.kit.local_proxy import get, until
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream
from tests.kit.rolegate import Configuration, RunningProxy
from tests.kit.scripted import ScriptedClient
from tests.workers.crew import Crew, is_alive


@asynccontextmanager
async def crew_at(upstream: RecordingUpstream, folder: Path, **socket: object) -> AsyncIterator[Crew]:
    sockets = [{"address": "127.0.0.1:0"}, {"address": f"unix:{folder}/web.sock", "mode": "0600", **socket}]
    config = configuration(upstream.url, folder, listen={"sockets": sockets})
    async with SocketCrew(config) as crew:
        yield crew


class SocketCrew(Crew):
    """A crew of which the sockets say where it listens."""

    @staticmethod
    def _with_address(configuration: Configuration, key: str, port: int) -> dict[str, object]:
        given = configuration.get(key)
        if isinstance(given, Mapping) and "sockets" in given:
            return dict(given)
        return RunningProxy._with_address(configuration, key, port)


def client_of(folder: Path) -> ScriptedClient:
    return ScriptedClient(0, path=str(folder / "web.sock"))


async def ask(folder: Path, times: int) -> None:
    for _ in range(times):
        async with client_of(folder) as client:
            assert (await client.request(get())).status == 200


async def test_all_workers_take_connections_of_one_unix_socket(tmp_path: Path) -> None:
    """While one is stopped the others take all; a file of ours goes with us."""
    async with RecordingUpstream() as upstream, crew_at(upstream, tmp_path) as crew:
        path = tmp_path / "web.sock"
        assert path.stat().st_mode & 0o777 == 0o600
        assert f", unix:{path} with 2 workers" in crew.log_text()
        for number, pid in crew.pids().items():
            os.kill(pid, signal.SIGSTOP)
            await ask(tmp_path, 10)
            os.kill(pid, signal.SIGCONT)
            assert len(ids_of(crew.chain(1 - number), "decision")) >= 10
        assert await asyncio.to_thread(crew.terminate) == 0
        assert not path.exists()


async def test_a_connection_outlives_the_death_of_a_worker_if_nobody_has_taken_it(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, crew_at(upstream, tmp_path) as crew:
        pids = crew.pids()
        for pid in pids.values():
            os.kill(pid, signal.SIGSTOP)
        async with client_of(tmp_path) as client:
            await client.send(get())
            for pid in pids.values():
                os.kill(pid, signal.SIGKILL)
            assert (await client.read_response()).status == 200
        assert len(upstream.requests) == 1
        await until(
            lambda: set(pids.values()).isdisjoint(crew.pids().values()), what="successors", timeout_s=20.0
        )


async def test_a_reload_keeps_the_socket(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, crew_at(upstream, tmp_path) as crew:
        crew.send_signal(signal.SIGHUP)
        await until(lambda: "reloaded `" in crew.log_text(), what="the reload", timeout_s=20.0)
        await ask(tmp_path, 5)
        assert len(upstream.requests) == 5


async def test_a_stop_finishes_what_is_in_flight_and_nobody_new_comes_in(tmp_path: Path) -> None:
    opened = asyncio.Event()

    async def slowly(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await opened.wait()
            await connection.write(OK)

    async with RecordingUpstream(slowly) as upstream, crew_at(upstream, tmp_path) as crew:
        async with client_of(tmp_path) as client:
            await client.send(get())
            await until(lambda: len(upstream.requests) == 1, what="the request")
            crew.send_signal(signal.SIGTERM)
            await until(lambda: not (tmp_path / "web.sock").exists(), what="the end of listening")
            with pytest.raises(OSError, match=r"."):
                await client_of(tmp_path).connect()
            opened.set()
            assert (await client.read_response()).status == 200
        assert await asyncio.to_thread(crew._popen.wait, 20) == 0
        assert set(ids_of(crew.all_records(), "outcome")) == ids_seen_by(upstream)


async def test_what_a_killed_supervisor_leaves_behind_is_taken_over(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, crew_at(upstream, tmp_path) as crew:
        pids = crew.pids()
        crew.kill()
        await until(lambda: not any(map(is_alive, pids.values())), what="the end", timeout_s=20.0)
        assert (tmp_path / "web.sock").exists()
        await asyncio.to_thread(crew.restart)
        await ask(tmp_path, 5)


async def test_two_instances_do_not_share_a_unix_socket(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, crew_at(upstream, tmp_path) as crew:
        other = SocketCrew(crew.configuration)
        with pytest.raises(RuntimeError, match="another process answers there"):
            await asyncio.to_thread(other.start)
        await ask(tmp_path, 3)


async def test_doors_that_accept_by_themselves_take_turns_too(tmp_path: Path) -> None:
    """Whoever comes second finds nothing to accept, and that is no error."""
    header = b"PROXY TCP4 192.0.2.1 198.51.100.1 12345 443\r\n"
    async with (
        RecordingUpstream() as upstream,
        crew_at(upstream, tmp_path, trust_peers=True, proxy_protocol={}) as crew,
        AsyncExitStack() as stack,
    ):
        clients = [await stack.enter_async_context(client_of(tmp_path)) for _ in range(20)]
        for client in clients:
            assert (await client.request(header + get())).status == 200
        assert {record["client"] for record in crew.all_records() if "client" in record} == {"192.0.2.1"}
        assert "ERROR" not in crew.log_text()
