"""The listening socket: how many, how long, and in which order it ends."""

import asyncio

import pytest

from tests.accept.exchanges import listening
from tests.kit.local_proxy import until
from tests.kit.ports import answers
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True

GET = b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n"


@pytest.mark.parametrize("count", [1, 2, 3, 5])
async def test_no_more_connections_than_the_limit(count: int) -> None:
    async with listening(max_connections=2) as (listener, _, port, _):
        clients = [await ScriptedClient(port).connect() for _ in range(count)]
        await until(lambda: listener.accepted + listener.refused == count, what="every connection")
        assert (listener.accepted, listener.refused) == (min(count, 2), max(0, count - 2))
        assert listener.connection_count == min(count, 2)
        for client in clients[2:]:
            assert await client.is_closed()
        for client in clients:
            await client.close()
        await until(lambda: listener.connection_count == 0, what="the end of every connection")


async def test_one_that_fails_to_expire_does_not_stop_the_sweep(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        listening() as (listener, exchanges, port, clock),
        ScriptedClient(port) as first,
        ScriptedClient(port) as second,
    ):
        await first.send(b"POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\n")
        await until(lambda: len(exchanges.all) == 1, what="the request")
        await until(lambda: listener.connection_count == 2, what="the connections")

        def fail(*arguments: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(exchanges.all[0], "request_failed", fail)
        clock.advance(10)
        listener.sweep(clock())
        assert await first.is_closed()
        assert await second.is_closed()
        assert "ZeroDivisionError" in caplog.text


async def test_a_stop_closes_what_is_idle_and_waits_for_what_is_not() -> None:
    async with (
        listening() as (listener, exchanges, port, _),
        ScriptedClient(port) as idle,
        ScriptedClient(port) as busy,
    ):
        assert (await idle.request(GET)).status == 200
        exchanges.answers = False
        await busy.send(GET)
        await until(lambda: len(exchanges.all) == 2, what="the request")
        stopping = asyncio.ensure_future(listener.stop(5))  # noqa: TID251 - awaited below
        assert await idle.is_closed()
        assert not answers(port)
        assert not stopping.done()
        exchanges.all[1].finish(keep_alive=True)
        assert (await busy.read_response()).status == 200
        assert await busy.is_closed()
        await busy.close()
        assert await stopping == 0


async def test_a_stop_resets_what_does_not_end() -> None:
    async with listening() as (listener, exchanges, port, _), ScriptedClient(port) as client:
        exchanges.answers = False
        await client.send(GET)
        await until(lambda: len(exchanges.all) == 1, what="the request")
        assert await listener.stop(0) == 1
        with pytest.raises(ConnectionResetError):
            await client.reader.read()
        assert exchanges.all[0].events[-1] == "gone"
        assert listener.connection_count == 0


async def test_the_state_is_shown() -> None:
    async with listening() as (listener, _, port, _), ScriptedClient(port):
        await until(lambda: listener.connection_count == 1, what="the connection")
        assert repr(listener) == "<Listener [1 connections]>"
