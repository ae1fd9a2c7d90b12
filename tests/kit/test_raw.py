"""The raw client against the raw upstream: what one sends is what the other keeps."""

import asyncio
import contextlib
import socket

import pytest

from tests.kit.ports import LOOPBACK
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream, request_size
from tests.kit.scripted import ScriptedClient, exchange, parse_head

ON_BOTH_LOOPS = True

GET = b"GET /a?b HTTP/1.1\r\nHost: example.com\r\nX-oDD_Case: 1\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n"
TRAILERS = CHUNKED.replace(b"0\r\n\r\n", b"0\r\nA: b\r\nC: d\r\n\r\n")


@pytest.mark.parametrize("request_bytes", [GET, POST, CHUNKED, TRAILERS])
def test_a_request_is_whole_at_its_last_byte(request_bytes: bytes) -> None:
    assert request_size(request_bytes) == len(request_bytes)
    assert request_size(request_bytes + GET) == len(request_bytes)
    assert [request_size(request_bytes[:end]) for end in range(len(request_bytes))] == [None] * len(
        request_bytes
    )


async def test_the_upstream_keeps_every_byte_in_order() -> None:
    async with RecordingUpstream() as upstream, ScriptedClient(upstream.port) as client:
        for request in (GET, POST, CHUNKED):
            response = await client.request(request, split_at=20)
            assert (response.status, response.body) == (200, b"ok")
        assert upstream.received == GET + POST + CHUNKED
        assert upstream.requests == [GET, POST, CHUNKED]
        assert upstream.byte_count == len(GET + POST + CHUNKED)
        assert len(upstream.connections) == 1


async def test_half_a_request_is_kept_too() -> None:
    async with RecordingUpstream() as upstream:
        async with ScriptedClient(upstream.port) as client:
            await client.send(GET[:17])
            client.end_sending()
            assert await client.is_closed()
        assert upstream.received == GET[:17]
        assert upstream.requests == []


async def test_a_script_decides_what_the_upstream_does() -> None:
    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(OK[:10])
        connection.reset()

    async with RecordingUpstream(script) as upstream:
        assert await exchange(upstream.port, GET) in (OK[:10], b"")


@pytest.mark.parametrize(
    ("answer", "method", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", "GET", b"body"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "HEAD", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "GET", b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\nA: b\r\n\r\n",
            "GET",
            b"body",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nbody", "GET", b"body"),
    ],
)
async def test_responses_are_read_to_their_end(answer: bytes, method: str, body: bytes) -> None:
    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(answer)

    async with RecordingUpstream(script) as upstream, ScriptedClient(upstream.port) as client:
        response = await client.request(GET.replace(b"GET", method.encode()))
        assert response.body == body
        assert response.head == answer.split(b"\r\n\r\n")[0] + b"\r\n\r\n"
        assert await client.is_closed()


def test_a_head_is_taken_apart_without_being_changed() -> None:
    status, reason, headers = parse_head(b"HTTP/1.1 404 Not Found\r\nA: 1\r\na:  2\r\n\r\n")
    assert (status, reason) == (404, "Not Found")
    assert headers == [("A", "1"), ("a", "2")]


async def test_a_stop_is_no_end_of_a_response() -> None:
    async def begin(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\n\r\npart")
        await asyncio.Event().wait()

    upstream = await RecordingUpstream(begin).start()
    async with ScriptedClient(upstream.port) as client:
        await client.send(GET)
        await client.reader.readuntil(b"part")
        await upstream.stop()
        with pytest.raises(ConnectionResetError):
            await client.reader.read(-1)


@pytest.mark.parametrize("turns", range(6))
async def test_a_stop_ends_what_was_accepted_at_any_moment(turns: int) -> None:
    upstream = await RecordingUpstream().start()
    with socket.create_connection((LOOPBACK, upstream.port), timeout=1) as client:
        for _ in range(turns):
            await asyncio.sleep(0)
        await upstream.stop()
        await asyncio.sleep(0)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert upstream.open_count == 0
