"""Clients that keep something up by being slow: ended if they are too slow, and not cut if they are not."""

import asyncio
import socket

import pytest

from tests.kit.local_proxy import LocalProxy, get, request, until
from tests.kit.ports import LOOPBACK
from tests.kit.recorder import RecordedConnection, RecordingUpstream
from tests.kit.scripted import ScriptedClient

SIZE = 20_000_000
BIG = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + b"a" * SIZE


async def big(connection: RecordedConnection) -> None:
    await connection.read()
    await connection.write(BIG)
    await connection.read()


async def send_slowly(client: ScriptedClient, *, pieces: int, size: int) -> None:
    for _ in range(pieces):
        if client.reader.at_eof() or client.reader._buffer:  # type: ignore[attr-defined]  # what came already
            return
        client.writer.write(b"a" * size)
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("framing", [b"Content-Length: 100000000", b"Transfer-Encoding: chunked"])
async def test_a_body_that_trickles_is_ended_though_no_pause_is_long(framing: bytes) -> None:
    listen = {"min_rates": {"request_body": "100KiB", "window": "1s"}, "timeouts": {"body_idle": "20s"}}
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=listen) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        piece = b"1\r\na\r\n" if b"chunked" in framing else b"a"
        await client.send(request("POST", "/", framing))
        reading = asyncio.ensure_future(client.read_response())  # noqa: TID251 - awaited below
        for _ in range(200):
            if reading.done():
                break
            client.writer.write(piece)
            await asyncio.sleep(0.05)
        assert (await reading).status == 408
        await proxy.until_quiet()
        assert proxy.reasons[-1] == ("outcome", "request-timeout")
        assert proxy.proxy.listener.slow_senders == 1


async def test_a_body_that_comes_fast_enough_is_not_ended() -> None:
    listen = {"min_rates": {"request_body": "1KiB", "window": "1s"}}
    pieces, size = 50, 4096
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=listen) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(request("POST", "/", b"Content-Length: %d" % (pieces * size)))
        await send_slowly(client, pieces=pieces, size=size)
        assert (await client.read_response()).status == 200
        assert proxy.proxy.listener.slow_senders == 0


async def test_an_upstream_that_does_not_take_the_body_makes_nobody_slow() -> None:
    """While we do not read, the client cannot send."""
    go_on, size = asyncio.Event(), 20_000_000

    async def late(connection: RecordedConnection) -> None:
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads too
        await go_on.wait()
        connection.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
        while len(connection.received) < size:
            await connection.read()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    listen = {"min_rates": {"request_body": "100KiB", "window": "1s"}}
    async with (
        RecordingUpstream(late) as upstream,
        LocalProxy(upstream.url, listen=listen) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        client.writer.write(request("POST", "/", b"Content-Length: %d" % size) + b"a" * size)
        connections = proxy.proxy.listener._connections
        await until(lambda: any(one._body_paused for one in connections), what="the pause")
        await asyncio.sleep(2.5)
        go_on.set()
        response = await client.read_response()
        assert response.status == 200, (response, proxy.reasons)
        assert proxy.proxy.listener.slow_senders == 0


@pytest.mark.parametrize("requests", [None, 1], ids=["kept open", "last"])
async def test_a_slow_and_steady_reader_is_not_cut(requests: int | None) -> None:
    """
    For longer than `write_idle` nothing leaves our buffer: the kernel, which holds more than a megabyte,
    asks for more when a third of it is gone. The client reads all the while.
    """
    listen = {"timeouts": {"write_idle": "1s"}, "max_requests_per_connection": requests}
    loop = asyncio.get_running_loop()
    async with RecordingUpstream(big) as upstream, LocalProxy(upstream.url, listen=listen) as proxy:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 200_000)
            client.setblocking(False)
            await loop.sock_connect(client, (LOOPBACK, proxy.port))
            await loop.sock_sendall(client, get())
            connections = proxy.proxy.listener._connections
            await until(lambda: any(one.is_blocked for one in connections), what="the block")
            read = 0
            for _ in range(50):
                read += len(await loop.sock_recv(client, 60_000))
                await asyncio.sleep(0.1)
            while read < SIZE and (data := await loop.sock_recv(client, 1_000_000)):
                read += len(data)
            assert read >= SIZE
        assert proxy.proxy.listener.slow_readers == 0
        await proxy.until_quiet()
        assert proxy.reasons[-1] == ("outcome", "completed")


async def test_the_end_of_a_last_response_is_not_cut() -> None:
    """Behind `Connection: close` nobody but our buffer knows of what is left."""
    size = 5_000_000

    async def some(connection: RecordedConnection) -> None:
        await connection.read()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size)
        await connection.read()

    listen = {"timeouts": {"write_idle": "1s"}, "max_requests_per_connection": 1}
    loop = asyncio.get_running_loop()
    async with RecordingUpstream(some) as upstream, LocalProxy(upstream.url, listen=listen) as proxy:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 200_000)
            client.setblocking(False)
            await loop.sock_connect(client, (LOOPBACK, proxy.port))
            await loop.sock_sendall(client, get())
            read = 0
            while data := await loop.sock_recv(client, 60_000):
                read += len(data)
                await asyncio.sleep(0.1)
            assert read > size
        await proxy.until_quiet()
        assert proxy.reasons[-1] == ("outcome", "completed")


async def test_a_response_that_is_taken_too_slowly_is_reset() -> None:
    listen = {"min_rates": {"response": "100MiB", "window": "1s"}}
    async with (
        RecordingUpstream(big) as upstream,
        LocalProxy(upstream.url, listen=listen) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(get())
        for _ in range(400):
            if proxy.proxy.listener.slow_readers:
                break
            await client.reader.readexactly(1000)
            await asyncio.sleep(0.02)
        await proxy.until_quiet()
        assert proxy.proxy.listener.slow_readers == 1
        assert proxy.reasons[-1] == ("outcome", "client-gone")
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")


async def test_between_requests_no_rate_has_to_be_kept() -> None:
    listen = {"min_rates": {"request_body": "1GiB", "response": "1GiB", "window": "1s"}}
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=listen) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        for _ in range(2):
            assert (await client.request(get())).status == 200
            await asyncio.sleep(1.5)
        assert proxy.proxy.listener.slow_senders == 0
