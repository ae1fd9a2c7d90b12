"""One client connection: one request at a time, nothing after the last, and a deadline in every state."""

import asyncio
import socket

import pytest

from proxy.accept.listener import Listener
from proxy.accept.patience import LINGER_S
from proxy.model.decision import Reason
from tests.accept.exchanges import listening
from tests.kit.clock import Clock
from tests.kit.local_proxy import until
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True

GET = b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_the_next_request_begins_when_the_last_one_ended() -> None:
    async with listening() as (_, exchanges, port, _), ScriptedClient(port) as client:
        exchanges.answers = False
        await client.send(GET * 3)
        await until(lambda: len(exchanges.all) == 1, what="the first request")
        for number in range(3):
            assert len(exchanges.all) == number + 1
            exchanges.all[number].finish(keep_alive=True)
            assert (await client.read_response()).status == 200
        assert all(one.events == [("GET", b"/a", True), "end"] for one in exchanges.all)


@pytest.mark.parametrize("rest", [b"2\r\ncd\r\n0\r\n\r\n", b"zz", b"2\r\ncd\r\n0\r\n\r\n" + GET, GET])
async def test_nothing_is_told_behind_a_refusal_within_one_packet(rest: bytes) -> None:
    """The parser still holds what came with the piece that was refused."""
    async with listening() as (listener, exchanges, port, clock), ScriptedClient(port) as client:
        exchanges.refuses_bodies = True
        await client.send(CHUNKED + b"2\r\nab\r\n" + rest)
        assert (await client.read_response()).status == 200
        assert await client.read_to_end() == b""
        assert [one.events for one in exchanges.all] == [[("POST", b"/a", True), b"ab"]]
        await client.close()
        clock.advance(10)
        listener.sweep(clock())
        await until(lambda: listener.connection_count == 0, what="the end of the connection")


@pytest.mark.parametrize("keep_alive", [False, True])
async def test_what_comes_behind_a_last_answer_does_not_destroy_it(*, keep_alive: bool) -> None:
    """RFC 9112 section 9.6: who closes unasked reads on for a while, or a reset overtakes the answer."""
    async with listening() as (listener, exchanges, port, clock), ScriptedClient(port) as client:
        exchanges.answers = False
        await client.send(GET)
        await until(lambda: len(exchanges.all) == 1, what="the request")
        listener.is_draining = keep_alive  # who is not asked to go goes because of that
        exchanges.all[0].finish(keep_alive=keep_alive)
        for _ in range(5):
            await client.send(GET, split_at=7)
        assert (await client.read_response()).status == 200
        assert await client.read_to_end() == b""
        assert client.reader.exception() is None
        assert len(exchanges.all) == 1
        expire(listener, clock, LINGER_S)
        await until(lambda: listener.connection_count == 0, what="the end of the connection")


async def test_who_asked_to_close_is_not_waited_for() -> None:
    async with listening() as (listener, exchanges, port, _), ScriptedClient(port) as client:
        exchanges.answers = False
        await client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await until(lambda: len(exchanges.all) == 1, what="the request")
        exchanges.all[0].finish(keep_alive=False)
        await until(lambda: listener.connection_count == 0, what="the end of the connection")
        assert (await client.read_response()).status == 200


@pytest.mark.parametrize("keep_alive", [False, True])
async def test_who_pauses_behind_the_last_answer_still_gets_all_of_it(*, keep_alive: bool) -> None:
    """Longer than we listen to what else it says, and shorter than a client may take nothing (here 4 s)."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + bytes(400_000)
    async with listening() as (listener, exchanges, port, clock), ScriptedClient(port) as client:
        exchanges.answers = False
        await client.send(GET)
        await until(lambda: len(exchanges.all) == 1, what="the request")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is one for both directions
        listener.is_draining = keep_alive
        exchanges.all[0].client.write(answer)
        exchanges.all[0].client.finish(keep_alive=keep_alive)
        await asyncio.sleep(0.05)
        expire(listener, clock, LINGER_S + 1)
        await asyncio.sleep(0)
        assert listener.connection_count == 1
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await client.reader.read(-1) == answer

        def is_swept_out() -> bool:
            expire(listener, clock, 0.25)
            return listener.connection_count == 0

        await until(is_swept_out, what="the end of the connection")
        sock = client.writer.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0, "a reset"


async def test_who_takes_nothing_behind_the_last_answer_is_not_waited_for_for_ever() -> None:
    async with listening() as (listener, exchanges, port, clock), ScriptedClient(port) as client:
        exchanges.answers = False
        await client.send(GET)
        await until(lambda: len(exchanges.all) == 1, what="the request")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is one for both directions
        exchanges.all[0].client.write(bytes(20_000_000))
        exchanges.all[0].client.finish(keep_alive=False)
        await asyncio.sleep(0.05)
        expire(listener, clock, LINGER_S)
        assert listener.slow_readers == 0
        expire(listener, clock, 4 - LINGER_S)  # what the kernels took was something
        expire(listener, clock, 4)
        await until(lambda: listener.connection_count == 0, what="the end of the connection")
        assert listener.slow_readers == 1


@pytest.mark.parametrize("finishes", [False, True])
async def test_who_stops_taking_an_open_ended_response_cannot_take_a_part_for_the_whole(
    *, finishes: bool
) -> None:
    async with listening() as (listener, exchanges, port, clock), ScriptedClient(port) as client:
        exchanges.answers = False
        await client.send(GET)
        await until(lambda: len(exchanges.all) == 1, what="the request")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is one for both directions
        exchange = exchanges.all[0]
        exchange.client.reset_unless_finished()
        exchange.client.write(bytes(20_000_000))  # more than the kernel takes
        if finishes:
            exchange.client.finish(keep_alive=False)
        expire(listener, clock, 4)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionResetError):
            await client.reader.read(-1)


async def test_a_client_that_leaves_is_told_once() -> None:
    async with listening() as (listener, exchanges, port, _):
        async with ScriptedClient(port) as client:
            exchanges.answers = False
            await client.send(GET * 2)
            await until(lambda: len(exchanges.all) == 1, what="the request")
        exchanges.all[0].client.resume_request()
        listener._connections.copy().pop().abort()
        await until(lambda: listener.connection_count == 0, what="the end of the connection")
        assert exchanges.all[0].events == [("GET", b"/a", True), "end", "gone"]
        assert len(exchanges.all) == 1


def expire(listener: Listener, clock: Clock, seconds: float) -> None:
    clock.advance(seconds)
    listener.sweep(clock())


STATES = {
    "nothing sent": (b"", 1.0, []),
    "half a head": (GET[:10], 1.0, [[(Reason.REQUEST_TIMEOUT, b"/a")]]),
    "half a body": (POST + b"ab", 2.0, [[("POST", b"/a", True), b"ab", Reason.REQUEST_TIMEOUT]]),
    "between requests": (GET, 3.0, [[("GET", b"/a", True), "end"]]),
}


# Below the deadline by something that adds up without rounding, then at it, or beyond.
SHY_S = 0.125


@pytest.mark.parametrize("beyond_s", [0.0, SHY_S], ids=["at", "above"])
@pytest.mark.parametrize(("data", "wait_s", "told"), STATES.values(), ids=STATES.keys())
async def test_every_state_has_its_deadline(
    data: bytes, wait_s: float, told: list[list[object]], beyond_s: float
) -> None:
    async with listening() as (listener, exchanges, port, clock), ScriptedClient(port) as client:
        await client.send(data)
        await until(lambda: listener.connection_count == 1, what="the connection")
        if data == GET:
            await client.read_response()
        elif data != GET[:10] and data:
            await until(lambda: len(exchanges.all) == 1, what="the request")
        else:
            await until(
                lambda: not data or next(iter(listener._connections))._reader.in_head, what="the head"
            )
        expire(listener, clock, wait_s - SHY_S)
        assert next(iter(listener._connections))._is_broken is False
        expire(listener, clock, SHY_S + beyond_s)
        received = await client.read_to_end()
        assert received.count(b"HTTP/1.1 200 ") == (0 if data == GET else len(told))
        assert [one.events for one in exchanges.all] == told


async def test_a_waiting_exchange_has_its_deadline_elsewhere() -> None:
    async with listening() as (listener, exchanges, port, clock), ScriptedClient(port) as client:
        exchanges.answers = False
        await client.send(GET)
        await until(lambda: len(exchanges.all) == 1 and "end" in exchanges.all[0].events, what="the request")
        expire(listener, clock, 10_000)
        exchanges.all[0].finish(keep_alive=True)
        assert (await client.read_response()).status == 200


async def test_a_lingering_connection_goes_in_the_end() -> None:
    async with listening() as (listener, _, port, clock), ScriptedClient(port) as client:
        await client.send(b"no HTTP\r\n\r\n")
        assert (await client.read_response()).status == 200
        assert await client.is_closed()
        assert listener.connection_count == 1
        await client.send(b"a" * 1000)
        expire(listener, clock, 2.1)
        await until(lambda: listener.connection_count == 0, what="the end of the connection")


async def test_a_lingering_connection_does_not_read_for_ever() -> None:
    async with listening() as (listener, _, port, _), ScriptedClient(port) as client:
        await client.send(b"no HTTP\r\n\r\n")
        assert (await client.read_response()).status == 200
        try:
            for _ in range(100):
                await client.send(b"a" * 100_000)
        except (ConnectionError, RuntimeError):
            pass  # uvloop has an error of its own for a write after a reset
        await until(lambda: listener.connection_count == 0, what="the end of the connection")


async def test_the_state_is_shown() -> None:
    async with listening() as (listener, exchanges, port, _), ScriptedClient(port) as client:
        exchanges.answers = False
        await until(lambda: listener.connection_count == 1, what="the connection")
        connection = next(iter(listener._connections))
        assert repr(connection) == "<ClientConnection 127.0.0.1 idle>"
        await client.send(GET)
        await until(lambda: len(exchanges.all) == 1, what="the request")
        assert repr(connection) == "<ClientConnection 127.0.0.1 busy>"
