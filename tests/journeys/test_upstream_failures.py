"""Upstreams that fail, lie or hang: the client is told, nothing passes for complete, nothing is reused."""

import asyncio
import socket

import pytest

from tests.kit.local_proxy import LocalProxy, get, request, until
from tests.kit.ports import free_port
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream, Script
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True


def saying(answer: bytes, *, then_reset: bool = False, stays: bool = False) -> Script:
    """Return the script that gives one answer and leaves."""

    async def script(connection: RecordedConnection) -> None:
        if await connection.request() is None:
            return
        await connection.write(answer)
        if stays:
            await connection.read()
        elif then_reset:
            await asyncio.sleep(0.05)
            connection.reset()

    return script


async def one_request(proxy: LocalProxy, data: bytes | None = None) -> bytes:
    """Send one request and return all that comes; a connection that stays open is left by us."""
    async with ScriptedClient(proxy.port, timeout_s=5) as client:
        await client.send(data if data is not None else get("/", b"Connection: close"))
        received = await client.read_to_end()
    await proxy.until_quiet()
    return received


async def test_nobody_listens() -> None:
    async with LocalProxy(f"http://127.0.0.1:{free_port()}") as proxy:
        received = await one_request(proxy)
        assert received.startswith(b"HTTP/1.1 502 ")
        assert b'"reason":"upstream-unreachable"' in received
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "upstream-unreachable")]


async def test_a_failed_connect_leaves_the_client_connection_usable() -> None:
    async with LocalProxy(f"http://127.0.0.1:{free_port()}") as proxy, ScriptedClient(proxy.port) as client:
        for _ in range(3):
            assert (await client.request(get())).status == 502


async def test_a_host_that_has_no_address() -> None:
    async with LocalProxy("http://nowhere.invalid:80") as proxy:
        assert (await one_request(proxy)).startswith(b"HTTP/1.1 502 ")


async def test_a_connect_that_gets_nowhere() -> None:
    """The queue of a listener that accepts nothing is full: the system answers a connect with silence."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        settings = {"timeouts": {"connect": "300ms"}}
        async with LocalProxy(f"http://127.0.0.1:{port}", upstream=settings) as proxy:
            assert (await one_request(proxy)).startswith(b"HTTP/1.1 502 ")
            assert proxy.reasons == [("decision", "allowed"), ("outcome", "upstream-unreachable")]
            await until(lambda: proxy.proxy.pools["api"].connecting_count == 0, what="the end of the attempt")
        for one in waiting:
            one.close()


async def test_no_answer() -> None:
    upstream_settings = {"timeouts": {"response": "200ms"}}
    async with (
        RecordingUpstream(saying(b"", stays=True)) as upstream,
        LocalProxy(upstream.url, upstream=upstream_settings) as proxy,
    ):
        received = await one_request(proxy)
        assert received.startswith(b"HTTP/1.1 504 ")
        assert proxy.reasons[-1] == ("outcome", "upstream-timeout")
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        assert len(upstream.requests) == 1


BEFORE_THE_HEAD = {
    "closed at once": saying(b""),
    "reset": saying(b"", then_reset=True),
    "closed in the status line": saying(b"HTTP/1.1 20"),
    "closed in the head": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"),
    "closed behind an interim response": saying(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
}


@pytest.mark.parametrize("script", BEFORE_THE_HEAD.values(), ids=BEFORE_THE_HEAD.keys())
async def test_an_end_before_the_head_is_a_bad_gateway(script: Script) -> None:
    async with RecordingUpstream(script) as upstream, LocalProxy(upstream.url) as proxy:
        received = await one_request(proxy)
        assert received.replace(b"HTTP/1.1 103 Early Hints\r\n\r\n", b"").startswith(b"HTTP/1.1 502 ")
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "upstream-reset")]


MALFORMED = {
    "garbage": b"hello\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "no status": b"HTTP/1.1 \r\n\r\n",
    "two framings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "two framings reversed": b"HTTP/1.1 200 A\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "a coding that we do not know": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks on HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a null byte": b"HTTP/1.1 200 OK\r\nX-A: b\0\r\nContent-Length: 2\r\n\r\nok",
    "a switch that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nPRI",
    "too many lines": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 300 + b"Content-Length: 2\r\n\r\nok",
    "a large head": b"HTTP/1.1 200 OK\r\n" + (b"X-A: " + b"b" * 4000 + b"\r\n") * 40 + b"\r\n",
    "a header without end": b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 400_000,
    "interim responses without end": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 10_000,
}


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_not_http_is_a_bad_gateway(answer: bytes) -> None:
    async with (
        RecordingUpstream(saying(answer, stays=True)) as upstream,
        LocalProxy(upstream.url) as proxy,
    ):
        received = await one_request(proxy)
        interim = received.count(b"HTTP/1.1 103 ")
        assert received.count(b"HTTP/1.1 ") == interim + 1
        assert b"HTTP/1.1 502 " in received
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "upstream-malformed")]
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")


TRUNCATED = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nabc",
    "the last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
}


@pytest.mark.parametrize("answer", TRUNCATED.values(), ids=TRUNCATED.keys())
@pytest.mark.parametrize("then_reset", [False, True], ids=["closed", "reset"])
async def test_what_is_cut_short_never_looks_complete(answer: bytes, then_reset: bool) -> None:
    async with (
        RecordingUpstream(saying(answer, then_reset=then_reset)) as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(get())
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.read_response()
        with pytest.raises(ConnectionResetError):
            raise client.reader.exception() or AssertionError("the connection was not reset")
        await proxy.until_quiet()
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "upstream-reset")]


async def test_a_reset_without_a_length_never_looks_complete() -> None:
    script = saying(b"HTTP/1.1 200 OK\r\n\r\nabc", then_reset=True)
    async with RecordingUpstream(script) as upstream, LocalProxy(upstream.url) as proxy:
        received = await one_request(proxy)
        assert received.endswith(b"3\r\nabc\r\n")
        assert proxy.reasons[-1] == ("outcome", "upstream-reset")


async def test_a_bad_chunk_in_the_middle_never_looks_complete() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"

    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(answer)
        await asyncio.sleep(0.05)
        await connection.write(b"zz\r\n0\r\n\r\n")
        await connection.read()

    async with RecordingUpstream(script) as upstream, LocalProxy(upstream.url) as proxy:
        received = await one_request(proxy)
        assert received.endswith(b"3\r\nabc\r\n")
        assert proxy.reasons[-1] == ("outcome", "upstream-malformed")


async def test_a_stall_in_the_middle_never_looks_complete() -> None:
    script = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", stays=True)
    settings = {"timeouts": {"body_idle": "200ms"}}
    async with RecordingUpstream(script) as upstream, LocalProxy(upstream.url, upstream=settings) as proxy:
        received = await one_request(proxy)
        assert received.endswith(b"\r\n\r\nabc")
        assert proxy.reasons[-1] == ("outcome", "upstream-timeout")


BEHIND = {
    "a second response": OK + OK.replace(b"ok", b"no"),
    "a second response to a HEAD": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
    "half a second response": OK + b"HTTP/1.1 200",
    "garbage": OK + b"garbage",
    "a body behind 204": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nno",
    "a body behind 304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nno",
}


@pytest.mark.parametrize("answer", BEHIND.values(), ids=BEHIND.keys())
async def test_bytes_behind_a_response_are_not_the_next_one(answer: bytes) -> None:
    method = "HEAD" if answer is BEHIND["a second response to a HEAD"] else "GET"
    async with (
        RecordingUpstream(saying(answer, stays=True)) as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        for _ in range(2):
            response = await client.request(request(method, "/"))
            assert response.status in {200, 204, 304}
            assert b"no" not in response.body
        assert [len(connection.received) > 0 for connection in upstream.connections] == [True, True]


async def test_bytes_on_an_idle_connection_are_not_the_next_answer() -> None:
    async def unsolicited(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(OK)
        await asyncio.sleep(0.05)
        await connection.write(OK.replace(b"ok", b"no"))
        await connection.read()

    async with (
        RecordingUpstream(unsolicited) as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(get("/first"))).body == b"ok"
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        assert (await client.request(get("/second"))).body == b"ok"
        assert len(upstream.connections) == 2


async def test_a_connection_that_was_closed_while_idle_is_not_used() -> None:
    async with (
        RecordingUpstream(saying(OK)) as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        for _ in range(5):
            assert (await client.request(get())).status == 200
            await until(lambda: proxy.proxy.pools["api"].idle_count == 0, what="news of the close")
        assert len(upstream.connections) == 5


async def test_an_upstream_that_accepts_and_closes_is_unreachable_not_forever() -> None:
    async def slam(connection: RecordedConnection) -> None:
        connection.reset()

    async with RecordingUpstream(slam) as upstream, LocalProxy(upstream.url) as proxy:
        for _ in range(10):
            assert (await one_request(proxy)).startswith(b"HTTP/1.1 502 ")
        assert len(proxy.records("outcome")) == 10


async def test_more_waiting_than_allowed_are_told_to_come_back() -> None:
    release = asyncio.Event()

    async def slow(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await release.wait()
            await connection.write(OK)

    settings = {"max_connections": 2, "max_waiting": 3}
    async with RecordingUpstream(slow) as upstream, LocalProxy(upstream.url, upstream=settings) as proxy:
        clients = [await ScriptedClient(proxy.port).connect() for _ in range(6)]
        pool = proxy.proxy.pools["api"]
        for number, client in enumerate(clients):
            await client.send(get(f"/{number}"))
            await until(lambda n=number: len(proxy.records("decision")) > n, what="the decision")  # type: ignore[misc]  # mypy does not type default arguments of lambdas
        refused = await clients[5].read_response()
        assert (refused.status, refused.header("Retry-After")) == (503, "1")
        assert (pool.busy_count, pool.waiting_count) == (2, 3)
        release.set()
        assert [(await client.read_response()).status for client in clients[:5]] == [200] * 5
        assert len(upstream.connections) == 2
        for client in clients:
            await client.close()
        await proxy.until_quiet()
        assert sorted(reason for kind, reason in proxy.reasons if kind == "outcome") == [
            *["completed"] * 5,
            "upstream-overloaded",
        ]


async def test_who_waits_for_a_connection_too_long_is_told_so() -> None:
    settings = {"max_connections": 1, "timeouts": {"connect": "200ms"}}
    async with (
        RecordingUpstream(saying(b"", stays=True)) as upstream,
        LocalProxy(upstream.url, upstream=settings) as proxy,
        ScriptedClient(proxy.port) as first,
        ScriptedClient(proxy.port) as second,
    ):
        await first.send(get("/first"))
        await until(lambda: upstream.byte_count > 0, what="the first request")
        assert (await second.request(get("/second"))).status == 503
        assert b"/second" not in upstream.received


async def test_a_client_that_leaves_the_queue_is_not_served() -> None:
    settings = {"max_connections": 1}
    release = asyncio.Event()

    async def slow(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await release.wait()
            await connection.write(OK)

    async with (
        RecordingUpstream(slow) as upstream,
        LocalProxy(upstream.url, upstream=settings) as proxy,
        ScriptedClient(proxy.port) as first,
        ScriptedClient(proxy.port) as second,
    ):
        await first.send(get("/first"))
        await second.send(get("/second"))
        await until(lambda: proxy.proxy.pools["api"].waiting_count == 1, what="the second request")
        second.reset()
        await until(lambda: proxy.proxy.pools["api"].waiting_count == 0, what="its leave")
        release.set()
        assert (await first.read_response()).status == 200
        await proxy.until_quiet()
        assert b"/second" not in upstream.received
        assert [record["reason"] for record in proxy.records("outcome")] == ["client-gone", "completed"]
