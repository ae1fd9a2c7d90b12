"""Limits that hold for all workers together, whichever a client meets, and beyond the death of one."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.journeys.trail import configuration
from tests.kit.local_proxy import get, until
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream
from tests.kit.scripted import ScriptedClient
from tests.workers.crew import Crew

LIMIT = 4
WORKERS = 3


async def until_serving(crew: Crew, number: int, pid: int) -> None:
    """Return when another process serves as worker `number`."""
    await until(lambda: crew.pids()[number] != pid, what="the successor", timeout_s=30.0)


async def test_requests_in_flight_are_those_of_all_workers(tmp_path: Path) -> None:
    may_answer = asyncio.Event()

    async def waiting(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await may_answer.wait()
            await connection.write(OK)

    async with RecordingUpstream(waiting) as upstream:
        config = configuration(upstream.url, tmp_path)
        routes = config["routes"]
        assert isinstance(routes, list)
        routes[0]["max_in_flight"] = LIMIT
        async with Crew(config, workers=WORKERS) as crew, AsyncExitStack() as open_clients:
            clients = [
                await open_clients.enter_async_context(ScriptedClient(crew.port)) for _ in range(5 * LIMIT)
            ]
            for client in clients[:LIMIT]:
                await client.send(get("/held"))
            await until(lambda: len(upstream.requests) == LIMIT, what="the requests that are let in")
            for client in clients[LIMIT:]:
                assert (await client.request(get("/shed"))).status == 503
            assert len(upstream.requests) == LIMIT
            served_by = {number for number in range(WORKERS) if crew.chain(number)}
            assert len(served_by) > 1, "all met one worker: nothing is shown"
            may_answer.set()
            for client in clients[:LIMIT]:
                assert (await client.read_response()).status == 200
            for client in clients:
                assert (await client.request(get("/again"))).status == 200


async def test_what_a_killed_worker_had_in_flight_is_given_back(tmp_path: Path) -> None:
    async def silent(connection: RecordedConnection) -> None:
        while await connection.read():
            pass

    async with RecordingUpstream(silent) as upstream:
        config = configuration(upstream.url, tmp_path)
        routes = config["routes"]
        assert isinstance(routes, list)
        routes[0]["max_in_flight"] = 1
        async with Crew(config, workers=2) as crew:
            async with ScriptedClient(crew.port) as client:
                await client.send(get("/held"))
                await until(lambda: len(upstream.requests) == 1, what="the request")
                [number] = [number for number in range(2) if crew.chain(number)]
                async with ScriptedClient(crew.port) as other:
                    assert (await other.request(get("/shed"))).status == 503
                pid = crew.pids()[number]
                os.kill(pid, signal.SIGKILL)
                await until_serving(crew, number, pid)
            async with ScriptedClient(crew.port) as client:
                await client.send(get("/next"))
                await until(lambda: b"/next" in upstream.received, what="the place of the dead")


@pytest.mark.parametrize("reloads", [False, True])
async def test_connections_of_a_client_are_those_with_all_workers(tmp_path: Path, reloads: bool) -> None:
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path, listen={"max_connections_per_client": LIMIT})
        async with Crew(config, workers=WORKERS) as crew:
            if reloads:
                crew.send_signal(signal.SIGHUP)
                await until(lambda: "reloaded `" in crew.log_text(), what="the reload")
            for _ in range(3):
                async with AsyncExitStack() as open_clients:
                    answered = 0
                    for _ in range(4 * LIMIT):
                        try:
                            client = await open_clients.enter_async_context(ScriptedClient(crew.port))
                            answered += (await client.request(get())).status == 200
                        except (ConnectionError, asyncio.IncompleteReadError):
                            pass
                    assert answered == LIMIT
                await until(lambda: is_empty(crew), what="that all have left")


def is_empty(crew: Crew) -> bool:
    """Say whether no client has a connection any more."""
    return "\nrolegate_client_connections 0.0\n" in crew.metrics_text()
