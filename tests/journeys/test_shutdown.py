"""A stop: no new connections, what is in flight is finished or, too late, reset; the exit code is 0."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tests.kit.local_proxy import HOST, LocalProxy, get, until
from tests.kit.ports import answers
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream, Script
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import ScriptedClient

GET = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


@asynccontextmanager
async def running(upstream: RecordingUpstream, shutdown: str) -> AsyncGenerator[RunningProxy]:
    configuration = {
        "listen": {"timeouts": {"shutdown": shutdown}},
        "issuers": {},
        "upstreams": {"up": {"url": upstream.url}},
        "routes": [{"name": "all", "match": {"paths": ["/**"]}, "upstream": "up", "public": True}],
    }
    async with RunningProxy(configuration) as proxy:
        yield proxy


class Gate:
    """Answers when it is opened, and not before."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    @property
    def script(self) -> Script:
        async def script(connection: RecordedConnection) -> None:
            while await connection.request() is not None:
                await self.opened.wait()
                await connection.write(OK)

        return script


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_is_in_flight_is_finished(number: signal.Signals) -> None:
    gate = Gate()
    async with RecordingUpstream(gate.script) as upstream, running(upstream, "20s") as proxy:
        async with ScriptedClient(proxy.port) as busy, ScriptedClient(proxy.port) as idle:
            gate.opened.set()
            assert (await idle.request(GET)).status == 200
            gate.opened.clear()
            await busy.send(GET)
            await until(lambda: len(upstream.requests) == 2, what="the request")
            proxy.send_signal(number)
            assert await idle.is_closed()
            await until(lambda: not answers(proxy.port), what="the end of listening")
            assert proxy.is_running
            gate.opened.set()
            response = await busy.read_response()
            assert (response.status, response.header("Connection")) == (200, "close")
            assert await busy.is_closed()
        assert await asyncio.to_thread(proxy._popen.wait, 10) == 0
        assert [record["reason"] for record in proxy.audit_records()] == ["public", "completed"] * 2


async def test_what_does_not_finish_in_time_is_reset() -> None:
    async with RecordingUpstream(Gate().script) as upstream, running(upstream, "300ms") as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(GET)
            await until(lambda: len(upstream.requests) == 1, what="the request")
            proxy.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionResetError):
                await client.reader.read()
        assert await asyncio.to_thread(proxy._popen.wait, 10) == 0
        # The end of what was cut off is on record as well.
        assert [record["reason"] for record in proxy.audit_records()] == ["public", "client-gone"]


async def test_a_second_signal_changes_nothing() -> None:
    gate = Gate()
    async with RecordingUpstream(gate.script) as upstream, running(upstream, "20s") as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(GET)
            await until(lambda: len(upstream.requests) == 1, what="the request")
            proxy.send_signal(signal.SIGTERM)
            proxy.send_signal(signal.SIGTERM)
            proxy.send_signal(signal.SIGINT)
            await until(lambda: not answers(proxy.port), what="the end of listening")
            gate.opened.set()
            assert (await client.read_response()).status == 200
        assert await asyncio.to_thread(proxy._popen.wait, 10) == 0


async def test_a_taken_port_is_exit_code_2() -> None:
    async with RecordingUpstream() as upstream, running(upstream, "1s") as proxy:
        other = RunningProxy({**proxy.configuration, "listen": {"address": f"127.0.0.1:{proxy.port}"}})
        with pytest.raises(RuntimeError, match="ended with code 2"):
            await asyncio.to_thread(other.start)
        assert proxy.is_running


async def test_half_a_head_may_become_a_request_while_we_stop() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        data = get()
        await client.send(data[:20])
        await asyncio.sleep(0.05)
        stopping = asyncio.ensure_future(proxy.stop())  # noqa: TID251 - awaited below
        await asyncio.sleep(0.05)
        response = await client.request(data[20:])
        assert (response.status, response.header("Connection")) == (200, "close")
        assert await stopping == 0


async def test_a_response_that_the_client_takes_slowly_is_not_cut_by_a_stop() -> None:
    body = b"a" * 20_000_000

    async def big(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with (
        RecordingUpstream(big) as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(get())
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head
        stopping = asyncio.ensure_future(proxy.stop())  # noqa: TID251 - awaited below
        await asyncio.sleep(0.3)
        assert await client.reader.readexactly(len(body)) == body
        assert await stopping == 0


async def test_the_answer_to_a_refused_body_is_not_cut_by_a_stop() -> None:
    refused = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\n\r\n".encode()
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(refused)
        await until(lambda: proxy.records() != [], what="the decision")
        stopping = asyncio.ensure_future(proxy.stop())  # noqa: TID251 - awaited below
        await asyncio.sleep(0.1)
        await client.send(b"a" * 100)
        assert (await client.read_response()).status == 401
        await client.close()
        assert await stopping == 0


async def test_a_stop_leaves_no_task_and_no_connection() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get())).status == 200
            assert await proxy.stop() == 0
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        assert len(proxy.proxy._tasks) == 0
        assert proxy.proxy.listener.connection_count == 0
        assert proxy.in_flight == 0


async def test_a_second_signal_does_not_spoil_the_exit_code() -> None:
    async with RecordingUpstream() as upstream, running(upstream, "20s") as proxy:
        proxy.send_signal(signal.SIGTERM)
        while proxy.is_running:
            proxy.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.001)
        assert await asyncio.to_thread(proxy.terminate) == 0
