"""Upgrades byte by byte: what is sent before, instead of and behind a 101, and what never gets through."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha1

import pytest

from proxy.model.decision import Reason
from proxy.streams import Stream
from tests.kit.local_proxy import HOST, LocalProxy, get, request, until
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream, Script
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True

ROUTE: Mapping[str, object] = {"upgrade": ["websocket", "tcp"]}
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b64encode(sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
ASKING = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
HANDSHAKE = get("/chat", *ASKING, b"Sec-WebSocket-Key: " + KEY)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n"
)
ANSWER = SWITCH % ACCEPT + b"\r\n"
SMUGGLED = get("/smuggled")


def until_told(gate: asyncio.Event, answer: bytes) -> Script:
    """Return a script that answers the first request when `gate` opens, then records what comes."""

    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await gate.wait()
        await connection.write(answer)
        while await connection.read():
            pass

    return script


def answering_with(answer: bytes) -> Script:
    opened = asyncio.Event()
    opened.set()
    return until_told(opened, answer)


async def test_the_upstream_is_asked_in_lines_of_ours() -> None:
    asking = (b"Connection: Upgrade, X-Hop", b"Upgrade: h2c, WebSocket", b"X-Hop: a", b"HTTP2-Settings: AAMA")
    async with (
        RecordingUpstream(answering_with(ANSWER)) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        response = await client.request(get("/chat", *asking, b"Sec-WebSocket-Key: " + KEY))
        assert response.status == 101
        assert upstream.received.count(b"\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n") == 1
        assert upstream.received.lower().count(b"upgrade:") == 1
        for word in (b"h2c", b"Hop", b"HTTP2"):
            assert word not in upstream.received
        assert (response.header("Upgrade"), response.header("Connection")) == ("websocket", "upgrade")
        assert response.header("X-Request-Id") == proxy.records()[0]["request_id"]
        assert response.header("Content-Length") is None


async def test_what_comes_behind_the_request_waits_for_the_101() -> None:
    gate = asyncio.Event()
    async with (
        RecordingUpstream(until_told(gate, ANSWER + b"hello")) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(HANDSHAKE + SMUGGLED)
        await until(lambda: len(upstream.requests) == 1, what="the request")
        await client.send(b"more")
        # A round trip of another request: what could have been sent would have been.
        async with ScriptedClient(proxy.port) as other:
            await other.send(get("/public/other"))
            await until(lambda: len(upstream.connections) == 2, what="the other connection")
        assert SMUGGLED not in upstream.received
        gate.set()
        assert (await client.read_response()).status == 101
        assert await client.reader.readexactly(5) == b"hello"
        await until(lambda: upstream.connections[0].received.endswith(SMUGGLED + b"more"), what="the bytes")
        # As bytes: nobody has read a request in them.
        assert [record["path"] for record in proxy.records("decision")] == ["/chat", "/public/other"]


NOT_SWITCHED = {
    "a wrong accept": SWITCH % b64encode(b"x" * 20) + b"\r\n",
    "no accept": ANSWER.replace(b"Sec-WebSocket-Accept", b"X"),
    "another protocol": ANSWER.replace(b"websocket", b"h2c", 1),
    "a protocol of the route that was not asked for": ANSWER.replace(b"websocket", b"tcp", 1),
    "two protocols": ANSWER.replace(b"websocket", b"websocket, tcp", 1),
    "no protocol": ANSWER.replace(b"Upgrade: websocket\r\n", b""),
    "no connection": ANSWER.replace(b"Connection: Upgrade\r\n", b""),
    "a length": ANSWER.replace(b"Connection", b"Content-Length: 5\r\nConnection", 1),
    "chunks": ANSWER.replace(b"Connection", b"Transfer-Encoding: chunked\r\nConnection", 1),
    "not HTTP": b"websocket is ready\r\n\r\n",
}


@pytest.mark.parametrize("answer", NOT_SWITCHED.values(), ids=NOT_SWITCHED.keys())
async def test_a_101_that_is_none_is_a_bad_gateway_and_lets_nothing_through(answer: bytes) -> None:
    async with (
        RecordingUpstream(answering_with(answer)) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
    ):
        async with ScriptedClient(proxy.port) as client:
            await client.send(HANDSHAKE + SMUGGLED)
            response = await client.read_response()
            assert (response.status, response.header("Connection")) == (502, "close")
            assert await client.read_to_end() == b""
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        assert b"smuggled" not in upstream.received
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "upstream-malformed")]
        assert len(proxy.proxy.environment.streams) == 0


async def test_a_101_that_nobody_asked_for_is_a_bad_gateway() -> None:
    async with (
        RecordingUpstream(answering_with(ANSWER)) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(get("/chat"))).status == 502


INSTEAD = {
    "200": OK,
    "403": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
    "426 with chunks": b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("answer", INSTEAD.values(), ids=INSTEAD.keys())
async def test_a_failed_handshake_leaves_no_way_for_another_request(answer: bytes) -> None:
    """Neither as one behind it, nor on the upstream's connection, which may take itself for upgraded."""
    async with (
        RecordingUpstream(answering_with(answer)) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
    ):
        async with ScriptedClient(proxy.port) as client:
            await client.send(HANDSHAKE + SMUGGLED)
            response = await client.read_response()
            assert response.status == int(answer.split(b" ")[1])
            assert response.header("Connection") == "close"
            assert response.header("Upgrade") is None
            assert await client.read_to_end() == b""
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        assert b"smuggled" not in upstream.received
        assert [record["reason"] for record in proxy.records("outcome")] == ["completed"]
        async with ScriptedClient(proxy.port) as client:
            await client.request(get("/next"))
        assert len(upstream.connections) == 2


async def test_a_refused_handshake_leaves_none_either() -> None:
    refused = HANDSHAKE.replace(b"Bearer ", b"Bearer x")
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route=ROUTE) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(refused + SMUGGLED)
            response = await client.read_response()
            assert (response.status, response.header("Connection")) == (401, "close")
            assert await client.read_to_end() == b""
        assert upstream.byte_count == 0
        assert [kind for kind, _ in proxy.reasons] == ["decision"]


async def test_what_still_comes_behind_a_refused_handshake_is_thrown_away() -> None:
    """So that the client has time to read why, and nothing of it is kept."""
    refused, size = HANDSHAKE.replace(b"Bearer ", b"Bearer x"), 500_000
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(refused)
        assert (await client.read_response()).status == 401
        [connection] = proxy.proxy.listener._connections
        await client.send(b"a" * size)
        await until(lambda: connection._discarded_bytes == size, what="the end of it")
        assert not connection._reader.ahead


IGNORED = {
    "h2c": get("/", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA"),
    "a protocol that the route does not name": get("/", b"Connection: Upgrade", b"Upgrade: spdy/3.1"),
    "a handshake without a key": get("/", *ASKING),
    "a handshake with another method": request("POST", "/", *ASKING, b"Sec-WebSocket-Key: " + KEY),
    "HTTP/1.0": HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "a route that allows none": HANDSHAKE.replace(b"/chat", b"/public/chat", 1),
}


@pytest.mark.parametrize("data", IGNORED.values(), ids=IGNORED.keys())
async def test_what_is_not_allowed_is_a_request_like_any_other_and_the_last(data: bytes) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route=ROUTE) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(data + SMUGGLED)
            response = await client.read_response()
            assert (response.status, response.header("Connection")) == (200, "close")
            assert await client.read_to_end() == b""
        assert len(upstream.requests) == 1
        assert b"pgrade" not in upstream.received
        assert b"smuggled" not in upstream.received


async def test_an_upgrade_without_its_connection_header_is_none_and_the_connection_goes_on() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        data = HANDSHAKE.replace(b"Connection: Upgrade\r\n", b"")
        assert [(await client.request(data)).status for _ in range(2)] == [200, 200]
        assert b"pgrade" not in upstream.received


async def test_another_protocol_may_use_another_method() -> None:
    answer = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: TCP\r\n\r\n"
    attach = request("POST", "/attach", b"Connection: Upgrade", b"Upgrade: tcp", b"Content-Length: 0")
    async with (
        RecordingUpstream(answering_with(answer)) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        response = await client.request(attach)
        assert (response.status, response.header("Upgrade")) == (101, "TCP")
        await client.send(b"raw")
        await until(lambda: upstream.received.endswith(b"raw"), what="the bytes")


async def test_a_public_route_may_allow_it_too() -> None:
    lines = (f"GET /public/chat HTTP/1.1\r\nHost: {HOST}".encode(), *ASKING, b"Sec-WebSocket-Key: " + KEY)
    async with RecordingUpstream(answering_with(ANSWER)) as upstream:
        proxy = LocalProxy(upstream.url)
        routes = proxy.configuration["routes"]
        assert isinstance(routes, list)
        routes[1]["upgrade"] = ["websocket"]
        async with proxy, ScriptedClient(proxy.port) as client:
            assert (await client.request(b"\r\n".join((*lines, b"", b"")))).status == 101
            [stream] = proxy.proxy.environment.streams._open
            assert (stream.identity, stream.ends_at, stream.route) == (None, float("inf"), "public")


async def test_interim_responses_come_before_the_101() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with (
        RecordingUpstream(answering_with(hints + ANSWER + b"hello")) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(HANDSHAKE)).status == 103
        assert (await client.read_response()).status == 101
        assert await client.reader.readexactly(5) == b"hello"


async def test_requests_before_it_are_answered_first() -> None:
    async def script(connection: RecordedConnection) -> None:
        for answer in (OK, OK, ANSWER):
            await connection.request()
            await connection.write(answer)
        while await connection.read():
            pass

    async with (
        RecordingUpstream(script) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(get("/1") + get("/2") + HANDSHAKE + b"ahead")
        assert [(await client.read_response()).status for _ in range(3)] == [200, 200, 101]
        await until(lambda: upstream.received.endswith(b"\r\n\r\nahead"), what="the bytes")
        assert len(upstream.connections) == 1


async def test_a_request_before_it_does_not_ask_in_its_stead() -> None:
    """The first one has an Upgrade too, but no Connection that names it."""
    first = HANDSHAKE.replace(b"/chat", b"/1", 1).replace(b"Connection: Upgrade\r\n", b"")

    async def script(connection: RecordedConnection) -> None:
        while (sent := await connection.request()) is not None:
            await connection.write(ANSWER if b"\r\nUpgrade:" in sent else OK)

    async with (
        RecordingUpstream(script) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(first + HANDSHAKE)
        assert [(await client.read_response()).status for _ in range(2)] == [200, 101]
        assert [b"Upgrade" in sent for sent in upstream.requests] == [False, True]


@pytest.mark.parametrize("split_at", [1, 60, len(HANDSHAKE) - 1, len(HANDSHAKE), len(HANDSHAKE) + 2])
async def test_where_packets_end_changes_nothing(split_at: int) -> None:
    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        for octet in ANSWER + b"hello":
            await connection.write(bytes([octet]))
            await asyncio.sleep(0)
        while await connection.read():
            pass

    async with (
        RecordingUpstream(script) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(HANDSHAKE + b"ahead", split_at=split_at)
        assert (await client.read_response()).status == 101
        assert await client.reader.readexactly(5) == b"hello"
        await until(lambda: upstream.received.endswith(b"\r\n\r\nahead"), what="the bytes")


async def test_what_comes_ahead_is_bounded_and_nothing_of_it_is_lost() -> None:
    gate, size = asyncio.Event(), 32 * 2**20
    async with (
        RecordingUpstream(until_told(gate, ANSWER)) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(HANDSHAKE)
        client.writer.write(b"a" * size)
        await until(lambda: len(upstream.requests) == 1, what="the request")
        [connection] = proxy.proxy.listener._connections
        await until(lambda: len(connection._reader.ahead or b"") > 64 * 1024, what="what comes ahead")
        await asyncio.sleep(0.2)
        assert len(connection._reader.ahead or b"") < 2**20
        gate.set()
        assert (await client.read_response()).status == 101
        await until(lambda: upstream.received.endswith(b"a" * size), what="all of it")


async def test_a_client_that_leaves_before_the_answer_takes_the_upstream_with_it() -> None:
    async with (
        RecordingUpstream(until_told(asyncio.Event(), ANSWER)) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
    ):
        async with ScriptedClient(proxy.port) as client:
            await client.send(HANDSHAKE)
            await until(lambda: len(upstream.requests) == 1, what="the request")
        await proxy.until_quiet()
        await until(
            lambda: proxy.proxy.pools["api"].busy_count == 0, what="the end of the upstream's connection"
        )
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "client-gone")]


async def test_a_handshake_that_is_not_answered_has_a_deadline() -> None:
    settings = {"timeouts": {"response": "300ms"}}
    async with (
        RecordingUpstream(until_told(asyncio.Event(), ANSWER)) as upstream,
        LocalProxy(upstream.url, route=ROUTE, upstream=settings) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(HANDSHAKE)).status == 504
        assert await client.is_closed()


@pytest.mark.parametrize("place", [0, 1, 12, 40, len(ANSWER) - 3, len(ANSWER) - 1])
async def test_an_answer_that_breaks_off_is_a_bad_gateway(place: int) -> None:
    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(ANSWER[:place])

    async with (
        RecordingUpstream(script) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(HANDSHAKE + SMUGGLED)
        assert (await client.read_response()).status == 502
        assert await client.read_to_end() == b""


@pytest.mark.parametrize("who", ["client", "upstream"])
async def test_a_reset_is_passed_on_as_one(who: str) -> None:
    async with (
        RecordingUpstream(answering_with(ANSWER)) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
    ):
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(HANDSHAKE)).status == 101
            if who == "client":
                client.reset()
                await until(lambda: upstream.open_count == 0, what="the end at the upstream")
            else:
                upstream.connections[0].reset()
                with pytest.raises(ConnectionResetError):
                    await client.reader.read()
        await proxy.until_quiet()
        reason = "client-gone" if who == "client" else "upstream-reset"
        await until(lambda: len(proxy.records("outcome")) == 1, what="the outcome")
        assert proxy.reasons == [("decision", "allowed"), ("outcome", reason)]


async def test_half_of_a_stream_may_end_before_the_other() -> None:
    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(ANSWER)
        while await connection.read():
            pass
        await connection.write(b"all of it came")

    async with RecordingUpstream(script) as upstream, LocalProxy(upstream.url, route=ROUTE) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(HANDSHAKE)).status == 101
            await client.send(b"the last of it")
            client.end_sending()
            assert await client.read_to_end() == b"all of it came"
        await until(lambda: len(proxy.records("outcome")) == 1, what="the outcome")
        [outcome] = proxy.records("outcome")
        assert (outcome["reason"], outcome["bytes_in"], outcome["bytes_out"]) == ("completed", 14, 14)
        assert upstream.received.endswith(b"\r\n\r\nthe last of it")


async def test_a_stop_leaves_no_stream_and_records_its_end() -> None:
    async with RecordingUpstream(answering_with(ANSWER)) as upstream:
        proxy = LocalProxy(upstream.url, route=ROUTE, listen={"timeouts": {"shutdown": "200ms"}})
        async with proxy, ScriptedClient(proxy.port) as client:
            assert (await client.request(HANDSHAKE)).status == 101
            assert await proxy.stop() == 1
            with pytest.raises(ConnectionResetError):
                await client.reader.read()
            assert proxy.reasons == [("decision", "allowed"), ("outcome", "shutting-down")]
            assert (proxy.in_flight, len(proxy.proxy.environment.streams)) == (0, 0)


async def test_news_of_an_identity_reaches_its_streams() -> None:
    """What revocation will call."""
    async with (
        RecordingUpstream(answering_with(ANSWER)) as upstream,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
        ScriptedClient(proxy.port) as mine,
        ScriptedClient(proxy.port) as other,
    ):
        assert (await mine.request(HANDSHAKE)).status == 101
        of_another = get("/chat", *ASKING, b"Sec-WebSocket-Key: " + KEY, subject="other")
        assert (await other.request(of_another)).status == 101
        streams = proxy.proxy.environment.streams

        def concerns(stream: Stream) -> bool:
            return stream.identity is not None and stream.identity.subject == "service-7"

        assert streams.end(concerns, Reason.TOKEN_EXPIRED) == 1
        with pytest.raises(ConnectionResetError):
            await mine.reader.read()
        await other.send(b"still here")
        await until(lambda: upstream.received.endswith(b"still here"), what="the bytes")
        assert len(streams) == 1
