"""No state without a deadline: whoever stops in it is cut off, and nothing is left behind."""

import asyncio

import pytest

from tests.kit.local_proxy import HOST, LocalProxy, get, request, until
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True

SHORT = "200ms"


def listen(**timeouts: str) -> dict[str, object]:
    return {"timeouts": timeouts}


async def silent(connection: RecordedConnection) -> None:
    while await connection.read():
        pass


async def test_a_connection_that_sends_nothing_is_closed() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=listen(headers=SHORT)) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert await client.read_to_end() == b""
        assert proxy.records() == []


async def test_a_head_that_trickles_is_cut_off() -> None:
    """Slowloris: each byte would be in time, the head never is."""
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=listen(headers="400ms")) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        reading = asyncio.ensure_future(client.read_response())  # noqa: TID251 - awaited below
        for octet in get("/" + "a" * 1000):
            if reading.done():
                break
            client.writer.write(bytes([octet]))
            await asyncio.sleep(0.05)
        assert (await reading).status == 408
        await proxy.until_quiet()
        assert proxy.reasons == [("decision", "request-timeout")]
        assert upstream.byte_count == 0


@pytest.mark.parametrize("after_a_request", [True, False])
async def test_empty_lines_keep_nothing_alive(after_a_request: bool) -> None:
    settings = listen(headers="400ms", keep_alive="400ms")
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=settings) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        if after_a_request:
            assert (await client.request(get())).status == 200
        reading = asyncio.ensure_future(client.read_to_end())  # noqa: TID251 - awaited below
        for _ in range(100):
            if reading.done():
                break
            client.writer.write(b"\r\n")
            await asyncio.sleep(0.05)
        assert reading.done()
        assert await reading == b""


async def test_an_idle_connection_is_closed_after_its_keep_alive() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=listen(keep_alive=SHORT)) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(get())).status == 200
        assert await client.is_closed()


async def test_a_body_that_stops_is_cut_off_before_the_upstream_has_it() -> None:
    async with (
        RecordingUpstream(silent) as upstream,
        LocalProxy(upstream.url, listen=listen(body_idle=SHORT)) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        response = await client.request(request("POST", "/", b"Content-Length: 10") + b"abc")
        assert (response.status, response.header("Connection")) == (408, "close")
        await proxy.until_quiet()
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "request-timeout")]


async def test_the_body_of_a_refused_request_has_a_deadline_too() -> None:
    refused = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\n\r\n".encode()
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(refused)).status == 401
        assert await client.is_closed()
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the end", timeout_s=6)


async def test_a_trailer_that_trickles_is_cut_off() -> None:
    settings = listen(body_idle="400ms")
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=settings) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(request("POST", "/", b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\nX-A: ")
        reading = asyncio.ensure_future(client.read_response())  # noqa: TID251 - awaited below
        for _ in range(100):
            if reading.done():
                break
            client.writer.write(b"a")
            await asyncio.sleep(0.05)
        assert (await reading).status == 408


async def test_an_upstream_that_takes_no_more_of_the_body_is_given_up() -> None:
    async def deaf(connection: RecordedConnection) -> None:
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads too
        await asyncio.sleep(30)

    settings = {"timeouts": {"body_idle": SHORT}}
    async with (
        RecordingUpstream(deaf) as upstream,
        LocalProxy(upstream.url, upstream=settings) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        client.writer.write(request("POST", "/", b"Content-Length: 100000000") + b"a" * 50_000_000)
        assert (await client.read_response()).status == 504
        await proxy.until_quiet()
        assert proxy.reasons[-1] == ("outcome", "upstream-timeout")


BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + b"a" * 50_000_000


async def big(connection: RecordedConnection) -> None:
    await connection.read()
    await connection.write(BIG)
    await connection.read()


async def test_a_client_that_does_not_take_its_response_is_reset() -> None:
    async with (
        RecordingUpstream(big) as upstream,
        LocalProxy(upstream.url, listen=listen(write_idle=SHORT)) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads too
        await client.send(get())
        await until(lambda: proxy.proxy.listener.connection_count == 1, what="the connection")
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the reset")
        await proxy.until_quiet()
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "client-gone")]
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")


@pytest.mark.parametrize("ends", [True, False], ids=["whole", "trickling"])
async def test_an_upload_buys_no_time_for_a_response_that_is_not_taken(ends: bool) -> None:
    async with (
        RecordingUpstream(big) as upstream,
        LocalProxy(upstream.url, listen=listen(write_idle="400ms")) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads too
        await client.send(request("POST", "/", b"Content-Length: 1000") + b"a")
        connections = proxy.proxy.listener._connections
        await until(lambda: any(one.is_blocked for one in connections), what="the block")
        if ends:
            client.writer.write(b"a" * 999)
        for _ in range(100):
            if not connections:
                break
            if not ends:
                client.writer.write(b"a")
            await asyncio.sleep(0.05)
        assert not connections
        await proxy.until_quiet()


async def test_an_idle_upstream_connection_is_closed_after_its_keep_alive() -> None:
    settings = {"timeouts": {"keep_alive": SHORT}}
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, upstream=settings) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(get())).status == 200
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        assert proxy.proxy.pools["api"].idle_count == 0
        assert (await client.request(get())).status == 200
        assert len(upstream.connections) == 2


async def test_a_stall_behind_an_early_response_has_a_deadline() -> None:
    """The response began while the request went on; then the request ended, and the response stopped."""

    async def stalling(connection: RecordedConnection) -> None:
        await connection.read()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\na")
        await silent(connection)

    settings = {"timeouts": {"body_idle": "400ms"}}
    async with (
        RecordingUpstream(stalling) as upstream,
        LocalProxy(upstream.url, upstream=settings) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(request("POST", "/", b"Content-Length: 4") + b"ab")
        await client.reader.readuntil(b"\r\n\r\na")
        await client.send(b"cd")
        assert await client.read_to_end() == b""
        await proxy.until_quiet()
        assert proxy.reasons[-1] == ("outcome", "upstream-timeout")


async def test_a_long_upload_behind_an_early_response_is_no_stall() -> None:
    async def talking(connection: RecordedConnection) -> None:
        await connection.read()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        await connection.request()
        await connection.write(b"b")

    settings = {"timeouts": {"body_idle": "700ms"}}
    async with (
        RecordingUpstream(talking) as upstream,
        LocalProxy(upstream.url, upstream=settings) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(request("POST", "/", b"Content-Length: 20"))
        for _ in range(20):
            await client.send(b"a")
            await asyncio.sleep(0.1)
        assert (await client.read_response()).body == b"ab"
        assert OK not in upstream.received
