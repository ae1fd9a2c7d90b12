"""Bodies and responses on their way: framing on both sides, interim responses, order, and memory."""

import asyncio
import hashlib

import pytest

from tests.kit.local_proxy import HOST, LocalProxy, get, request, until
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream, answering
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True


def echo(sent: bytes) -> bytes:
    """Answer with the path and the body of the request."""
    head, _, body = sent.partition(b"\r\n\r\n")
    body = head.split(b" ")[1] + b" " + body
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def test_a_request_goes_up_and_its_response_comes_back() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            response = await client.request(get("/a"))
            assert (response.status, response.body) == (200, b"ok")
        assert len(upstream.requests) == 1
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "completed")]


async def test_a_length_stays_a_length_upwards() -> None:
    async with RecordingUpstream(answering(echo)) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            body = bytes(range(256)) * 1000
            assert (await client.request(request("POST", "/a", body=body))).body == b"/a " + body
        assert b"\r\nContent-Length: 256000\r\n" in upstream.received
        assert b"Transfer-Encoding" not in upstream.received


async def test_chunks_stay_chunks_upwards() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(request("POST", "/a", b"Transfer-Encoding: chunked"))
            for piece in (b"3\r\nabc\r\n", b"A;x=y\r\n0123456789\r\n", b"0\r\n\r\n"):
                await asyncio.sleep(0.01)
                await client.send(piece)
            assert (await client.read_response()).status == 200
        assert upstream.requests[0].endswith(b"\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n")
        assert b"Content-Length" not in upstream.received


@pytest.mark.parametrize("body", [b"", b"a", b"a" * 65536, b"a" * 300_000])
async def test_a_body_that_comes_with_the_head_or_behind_it_is_the_same(body: bytes) -> None:
    async with RecordingUpstream(answering(echo)) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            data = request("PUT", "/a", body=body)
            assert (await client.request(data)).body == b"/a " + body
            assert (await client.request(data, split_at=len(data) - len(body))).body == b"/a " + body
        assert len(upstream.connections) == 1


DOWN = {
    "a length": (b"Content-Length: 5\r\n\r\nhello", "Content-Length", "5"),
    "chunks": (
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX-T: v\r\n\r\n",
        None,
        None,
    ),
    "an end of the connection": (b"\r\nhello", None, None),
}


@pytest.mark.parametrize(("rest", "name", "value"), DOWN.values(), ids=DOWN.keys())
@pytest.mark.parametrize("version", ["1.1", "1.0", "1.0 with keep-alive"])
async def test_a_response_is_framed_for_the_client(
    rest: bytes, name: str | None, value: str | None, version: str
) -> None:
    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\n" + rest)

    data = get("/")
    if version != "1.1":
        data = data.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    if "keep-alive" in version:
        data = data.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
    async with RecordingUpstream(script) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            response = await client.request(data)
            assert response.body == b"hello"
            if name is not None:
                assert response.header(name) == value
            elif version == "1.1":
                assert response.header("Transfer-Encoding") == "chunked"
            else:
                # Such a client knows no chunks: only the end of the connection tells it the end.
                assert response.header("Transfer-Encoding") is None
                assert response.header("Connection") == "close"
            if version == "1.0" or (name is None and version != "1.1"):
                assert await client.is_closed()
            else:
                assert (await client.request(data)).body == b"hello"
        assert b"HTTP/1.0" not in upstream.received
        assert {reason for kind, reason in proxy.reasons if kind == "outcome"} == {"completed"}


BODILESS = {
    "HEAD with a length": ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "5"),
    "HEAD with chunks": ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, None),
    "HEAD with neither": ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", 200, None),
    "HEAD not found": ("HEAD", b"HTTP/1.1 404 Not Found\r\nContent-Length: 99\r\n\r\n", 404, "99"),
    "204": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, None),
    "204 to a POST": ("POST", b"HTTP/1.1 204 No Content\r\n\r\n", 204, None),
    "304": ("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n', 304, None),
    "304 with a length": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "5"),
    "an empty body": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "0"),
}


@pytest.mark.parametrize(("method", "answer", "status", "length"), BODILESS.values(), ids=BODILESS.keys())
async def test_a_response_without_a_body_ends_with_its_head(
    method: str, answer: bytes, status: int, length: str | None
) -> None:
    async with RecordingUpstream(answering(lambda _: answer)) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            for _ in range(3):
                response = await client.request(request(method, "/"))
                assert (response.status, response.header("Content-Length")) == (status, length)
                assert response.header("Transfer-Encoding") is None
        assert len(upstream.requests) == 3


async def test_an_answer_of_ours_to_a_head_has_no_body() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        refused = f"HEAD / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
        assert (await client.request(refused)).status == 401
        assert (await client.request(get())).status == 200


async def test_100_continue_is_relayed_after_the_decision() -> None:
    async def careful(connection: RecordedConnection) -> None:
        await connection.read()
        await connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = await connection.request()
        assert request is not None
        await connection.write(echo(request))

    async with RecordingUpstream(careful) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            head = request("POST", "/a", b"Content-Length: 3", b"Expect: 100-continue")
            assert (await client.request(head)).status == 100
            assert proxy.reasons == [("decision", "allowed")]
            await client.send(b"abc")
            assert (await client.read_response()).body == b"/a abc"
        assert b"\r\nExpect: 100-continue\r\n" in upstream.received


async def test_a_refused_request_never_hears_100_and_never_sends_its_body() -> None:
    head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n".encode()
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            response = await client.request(head)
            # Whether the body will come is not known, so what comes next cannot be told from it.
            assert (response.status, response.header("Connection")) == (401, "close")
            assert await client.is_closed()
        assert upstream.byte_count == 0


async def test_other_interim_responses_are_relayed_but_not_to_http_1_0() -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK
    async with (
        RecordingUpstream(answering(lambda _: answer)) as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        hints = await client.request(get())
        assert (hints.status, hints.header("Link")) == (103, "</a>")
        assert (await client.read_response()).status == 200
        assert (await client.request(get().replace(b"HTTP/1.1", b"HTTP/1.0", 1))).status == 200


async def test_a_final_response_before_the_end_of_the_request_ends_the_connection() -> None:
    async def hasty(connection: RecordedConnection) -> None:
        await connection.read()
        await connection.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        while await connection.read():
            pass

    async with RecordingUpstream(hasty) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(request("POST", "/a", b"Content-Length: 1000000") + b"a" * 1000)
            response = await client.read_response()
            assert (response.status, response.body, response.header("Connection")) == (403, b"no", "close")
            await client.send(b"a" * 1000)
            assert await client.is_closed()
        await proxy.until_quiet()
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "completed")]
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")


async def test_a_response_may_come_while_the_request_goes_on() -> None:
    async def both_ways(connection: RecordedConnection) -> None:
        await connection.read()
        await connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await connection.request()
        await connection.write(b"1\r\nb\r\n0\r\n\r\n")

    async with RecordingUpstream(both_ways) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(request("POST", "/a", b"Content-Length: 4") + b"ab")
            head = await client.reader.readuntil(b"1\r\na\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            await client.send(b"cd")
            assert await client.read_to_end() == b"1\r\nb\r\n0\r\n\r\n"
        assert len(upstream.requests) == 1


async def test_two_requests_share_one_connection_on_each_side() -> None:
    async with RecordingUpstream(answering(echo)) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            for path in ("/1", "/2", "/3"):
                assert (await client.request(get(path))).body == path.encode() + b" "
        assert len(upstream.connections) == 1
        assert proxy.proxy.listener.accepted == 1


def whoami(sent: bytes) -> bytes:
    """Answer with what the upstream was told about the caller."""
    lines = [line for line in sent.split(b"\r\n") if line.lower().startswith(b"x-rolegate-subject")]
    body = b"%b %b" % (sent.split(b" ")[1], b"|".join(lines))
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def test_identities_never_mix_on_one_connection() -> None:
    """One client connection, one upstream connection, and callers that take turns, some of them nobody."""
    anonymous = f"GET /public/a HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    refused = f"GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    turns = (
        (get("/1", subject="alice"), b"/1 X-Rolegate-Subject: alice"),
        (anonymous, b"/public/a "),
        (get("/2", subject="bob"), b"/2 X-Rolegate-Subject: bob"),
        (refused, b""),
        (anonymous, b"/public/a "),
        (get("/3", subject="alice"), b"/3 X-Rolegate-Subject: alice"),
    )
    async with RecordingUpstream(answering(whoami)) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            for data, body in turns * 3:
                response = await client.request(data)
                assert response.body == body or (response.status == 401 and data is refused)
            await client.send(b"".join(data for data, _ in turns * 5))
            for data, body in turns * 5:
                response = await client.read_response()
                assert response.body == body or (response.status == 401 and data is refused)
        assert len(upstream.connections) == 1
        subjects = [record["subject"] for record in proxy.records("decision")]
        assert subjects == ["alice", None, "bob", None, None, "alice"] * 8


async def test_pipelined_requests_are_answered_in_order_whatever_each_takes() -> None:
    async def uneven(connection: RecordedConnection) -> None:
        while (sent := await connection.request()) is not None:
            await asyncio.sleep(0.02 if b"/slow" in sent else 0)
            await connection.write(echo(sent))

    paths = ["/slow/1", "/2", "/../3", "/slow/4", "/5"]
    async with RecordingUpstream(uneven) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            bodies = [request("POST", path, body=path.encode()) for path in paths]
            await client.send(b"".join(bodies))
            statuses = []
            for path in paths:
                response = await client.read_response()
                statuses.append(response.status)
                if response.status == 200:
                    assert response.body == f"{path} {path}".encode()
            assert statuses == [200, 200, 400, 200, 200]
        assert len(upstream.requests) == 4


async def test_what_cannot_be_read_behind_good_requests_is_refused_in_its_turn() -> None:
    async with RecordingUpstream(answering(echo)) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(get("/1") + get("/2") + b"GET  /3 HTTP/1.1\r\n\r\n" + get("/4"))
            assert (await client.read_response()).body == b"/1 "
            assert (await client.read_response()).body == b"/2 "
            assert (await client.read_response()).status == 400
            assert await client.read_to_end() == b""
        assert len(upstream.requests) == 2


async def test_nothing_behind_the_last_request_is_read() -> None:
    async with RecordingUpstream(answering(echo)) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(get("/1", b"Connection: close") + get("/2"))
            assert (await client.read_response()).body == b"/1 "
            assert await client.read_to_end() == b""
        assert len(upstream.requests) == 1
        assert len(proxy.records("decision")) == 1


@pytest.mark.parametrize("blocks", [400])
async def test_a_slow_reader_holds_the_upstream_back(blocks: int) -> None:
    """Of 100 MB only what the sockets' buffers take leaves the upstream before the client reads."""
    block = bytes(range(256)) * 1024
    sent = 0

    async def source(connection: RecordedConnection) -> None:
        nonlocal sent
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(block) * blocks))
        for _ in range(blocks):
            await connection.write(block)
            sent += len(block)

    async with (
        RecordingUpstream(source) as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads too
        await client.send(get("/", b"Connection: close"))
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert 0 < sent < len(block) * blocks / 2
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
        digest, size = hashlib.sha256(), 0
        await client.reader.readuntil(b"\r\n\r\n")
        while piece := await client.reader.read(1 << 20):
            digest.update(piece)
            size += len(piece)
        assert size == len(block) * blocks
        assert digest.digest() == hashlib.sha256(block * blocks).digest()


async def test_a_slow_upstream_holds_the_client_back() -> None:
    block, blocks = bytes(range(256)) * 1024, 400
    release = asyncio.Event()
    digest = hashlib.sha256()

    async def sink(connection: RecordedConnection) -> None:
        await connection.read()
        await release.wait()
        _, _, start = bytes(connection.received).partition(b"\r\n\r\n")
        body, size = bytearray(start), len(start)
        while size < len(block) * blocks:
            digest.update(body)
            body = bytearray(await connection._reader.read(1 << 20))
            size += len(body)
        digest.update(body)
        await connection.write(OK)

    async with (
        RecordingUpstream(sink) as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(request("PUT", "/", b"Content-Length: %d" % (len(block) * blocks)))
        sent = 0

        async def upload() -> None:
            nonlocal sent
            for _ in range(blocks):
                client.writer.write(block)
                await client.writer.drain()
                sent += len(block)

        async with asyncio.TaskGroup() as group:
            group.create_task(upload())
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.2)
            assert 0 < sent < len(block) * blocks / 2
            release.set()
        assert (await client.read_response()).status == 200
        assert digest.digest() == hashlib.sha256(block * blocks).digest()
