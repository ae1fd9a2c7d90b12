"""What HTTP/1.1 promises beyond one GET: methods, ranges, interim responses, old versions, long streams."""

import asyncio

import pytest

from tests.kit.local_proxy import LocalProxy, get, request, until
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream, answering
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True

UNCOMMON = ("PROPFIND", "PURGE", "QUERY", "M-SEARCH", "REPORT", "MKCOL", "PATCH", "OPTIONS", "LINK", "SEARCH")


@pytest.mark.parametrize("method", UNCOMMON)
async def test_a_method_that_the_route_names_passes_with_its_body(method: str) -> None:
    route = {"match": {"paths": ["/**"], "methods": [method]}}
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, route=route) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        for _ in range(2):
            assert (await client.request(request(method, "/a", body=b"<body/>"))).status == 200
        assert (await client.request(get("/a"))).status == 404
        assert [sent.split(b" ")[0] for sent in upstream.requests] == [method.encode()] * 2
        assert all(sent.endswith(b"\r\n\r\n<body/>") for sent in upstream.requests)


@pytest.mark.parametrize("method", UNCOMMON)
async def test_a_method_that_no_rule_names_is_refused(method: str) -> None:
    match = {"paths": ["/**"], "methods": [method, "GET"]}
    route = {"match": match, "allow": [{"roles": ["caller"], "methods": ["GET"]}]}
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route=route) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(request(method, "/a"))).status == 403
        assert upstream.byte_count == 0


@pytest.mark.parametrize("method", UNCOMMON)
async def test_a_route_that_names_no_methods_takes_the_common_ones(method: str) -> None:
    """An application that never heard of PROPFIND or PURGE is not asked what it makes of them."""
    is_common = method in ("PATCH", "OPTIONS")
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            for path in ("/a", "/public/a"):
                response = await client.request(request(method, path))
                assert response.status == (200 if is_common else 404)
        assert len(upstream.requests) == (2 if is_common else 0)
        if not is_common:
            assert proxy.reasons == [("decision", "no-route")] * 2


@pytest.mark.parametrize("method", ["FETCH", "get", "PRI", "FOO", "G", "X" * 40])
async def test_a_method_that_the_parser_does_not_know_is_refused(method: str) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(request(method, "/a"))
            response = await client.read_response()
            assert (response.status, response.header("Connection")) == (400, "close")
        assert upstream.byte_count == 0
        assert proxy.reasons == [("decision", "malformed-request")]


@pytest.mark.parametrize("status", [b"206 Partial Content", b"416 Range Not Satisfiable", b"200 OK"])
async def test_ranges_are_a_matter_of_the_two_ends(status: bytes) -> None:
    asked = (b"Range: bytes=2-5, 7-", b'If-Range: "v1"', b'If-None-Match: W/"v0"')
    answered = (
        b"HTTP/1.1 " + status + b"\r\nContent-Range: bytes 2-5/10\r\nAccept-Ranges: bytes\r\n"
        b'ETag: "v1"\r\nContent-Length: 4\r\n\r\n2345'
    )
    async with (
        RecordingUpstream(answering(lambda _: answered)) as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        response = await client.request(get("/", *asked))
        assert f"{response.status} {response.reason}".encode() == status
        assert response.header("Content-Range") == "bytes 2-5/10"
        assert (response.header("Accept-Ranges"), response.header("ETag"), response.body) == (
            "bytes",
            '"v1"',
            b"2345",
        )
        for line in asked:
            assert b"\r\n" + line + b"\r\n" in upstream.received


@pytest.mark.parametrize("keeps_alive", [False, True])
@pytest.mark.parametrize("has_length", [False, True])
@pytest.mark.parametrize("client_version", [b"1.0", b"1.1"])
async def test_an_upstream_may_speak_http_1_0(
    keeps_alive: bool, has_length: bool, client_version: bytes
) -> None:
    head = b"HTTP/1.0 200 OK\r\n"
    head += b"Connection: keep-alive\r\n" if keeps_alive else b""
    head += b"Content-Length: 2\r\n" if has_length else b""
    is_reused = keeps_alive and has_length

    async def script(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await connection.write(head + b"\r\nok")
            if not is_reused:
                return

    async with RecordingUpstream(script) as upstream, LocalProxy(upstream.url) as proxy:
        data = get().replace(b"HTTP/1.1", b"HTTP/" + client_version, 1)
        for _ in range(2):
            async with ScriptedClient(proxy.port) as client:
                response = await client.request(data)
                assert (response.status, response.body) == (200, b"ok")
                assert response.head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert len(upstream.connections) == (1 if is_reused else 2)
        assert b" HTTP/1.1\r\n" in upstream.received


async def test_an_upstream_that_never_says_100_gets_the_body_all_the_same() -> None:
    """The client stops waiting at some time (RFC 9110 section 10.1.1)."""
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(request("POST", "/a", b"Content-Length: 3", b"Expect: 100-continue"))
        await until(lambda: b"\r\nExpect: 100-continue\r\n" in upstream.received, what="the head")
        await client.send(b"abc")
        assert (await client.read_response()).status == 200
        assert upstream.requests[0].endswith(b"\r\n\r\nabc")
        assert (await client.request(get())).status == 200


async def test_an_upstream_may_refuse_a_body_that_waits_for_100() -> None:
    async def refuse(connection: RecordedConnection) -> None:
        await connection.read()
        await connection.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        await connection.read()

    async with RecordingUpstream(refuse) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            head = request("POST", "/a", b"Content-Length: 3", b"Expect: 100-continue")
            response = await client.request(head)
            assert (response.status, response.header("Connection")) == (413, "close")
            assert await client.is_closed()
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        assert upstream.received.endswith(b"\r\n\r\n")


async def test_a_100_that_nobody_waits_for_is_not_passed_on() -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK
    async with (
        RecordingUpstream(answering(lambda _: answer)) as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(request("POST", "/", body=b"abc"))).status == 102
        assert (await client.read_response()).status == 200


@pytest.mark.parametrize("length", [b"", b"Content-Length: 0\r\n", b"Content-Length: 5\r\n"])
@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_a_status_without_a_body_ends_with_its_head(status: bytes, length: bytes) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\n" + length + b"\r\n"
    async with (
        RecordingUpstream(answering(lambda _: answer)) as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(get() * 3)
        for _ in range(3):
            response = await client.read_response()
            assert response.status == int(status[:3])
            if status.startswith(b"204"):
                assert response.header("Content-Length") is None
        assert len(upstream.requests) == 3


async def test_events_come_one_by_one_and_for_as_long_as_they_come() -> None:
    """Server-sent events: longer than any timeout for a response, and no piece waits for the next."""
    go_on = asyncio.Semaphore(0)

    async def events(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        while True:
            await go_on.acquire()
            await connection.write(b"9\r\ndata: a\n\n\r\n")

    settings = {"timeouts": {"response": "1s", "body_idle": "10s"}}
    async with (
        RecordingUpstream(events) as upstream,
        LocalProxy(upstream.url, upstream=settings, listen={"timeouts": {"headers": "1s"}}) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(get())
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"\r\nContent-Type: text/event-stream\r\n" in head
        for _ in range(8):
            go_on.release()
            async with asyncio.timeout(5):
                assert await client.reader.readexactly(14) == b"9\r\ndata: a\n\n\r\n"
            await asyncio.sleep(0.15)  # together longer than the timeout for a response
        assert proxy.in_flight == 1


async def test_events_that_stop_coming_are_broken_off() -> None:
    async def silent(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n")
        await connection.read()

    settings = {"timeouts": {"body_idle": "300ms"}}
    async with RecordingUpstream(silent) as upstream, LocalProxy(upstream.url, upstream=settings) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(get())
            received = await client.read_to_end()
            assert received.endswith(b"9\r\ndata: a\n\n\r\n")
        assert proxy.reasons[-1] == ("outcome", "upstream-timeout")


async def test_a_client_that_leaves_its_events_ends_them_upstream() -> None:
    async def silent(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n")
        await connection.read()

    async with RecordingUpstream(silent) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(get())
            await client.reader.readuntil(b"data: a")
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        await proxy.until_quiet()
        assert proxy.reasons[-1] == ("outcome", "client-gone")


WHOLE = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: a\r\n\r\n",
    "an interim response before": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    b"HTTP/1.1 204 No Content\r\n\r\n",
}


@pytest.mark.parametrize("whole", WHOLE.values(), ids=WHOLE.keys())
@pytest.mark.parametrize("then_reset", [False, True], ids=["closed", "reset"])
async def test_a_break_at_any_byte_is_a_bad_gateway_or_an_aborted_response(
    whole: bytes, then_reset: bool
) -> None:
    places = iter(range(len(whole)))

    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(whole[: next(places)])
        if then_reset:
            await asyncio.sleep(0.005)  # or the reset may overtake what was written
            connection.reset()

    async with RecordingUpstream(script) as upstream, LocalProxy(upstream.url) as proxy:
        for place in range(len(whole)):
            async with ScriptedClient(proxy.port) as client:
                await client.send(get("/", b"Connection: close"))
                received = await client.read_to_end()
            final = received[received.rfind(b"HTTP/1.1 ") :]
            if final.startswith(b"HTTP/1.1 502 "):
                assert b'"reason":"upstream-reset"' in final, place
                continue
            assert final.startswith(b"HTTP/1.1 200 "), place
            assert not final.endswith(b"hello" if b"Content-Length" in whole else b"\r\n0\r\n\r\n"), place
        await proxy.until_quiet()
        await until(lambda: len(proxy.records("outcome")) == len(whole), what="the outcomes")
        assert {record["reason"] for record in proxy.records("outcome")} == {"upstream-reset"}
