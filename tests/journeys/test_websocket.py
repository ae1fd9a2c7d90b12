"""WebSockets through the proxy, with a client and a server that know nothing of it (RFC 6455)."""

import asyncio
import contextlib
import itertools
import signal
import struct
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from tests.journeys.trail import configuration
from tests.kit.local_proxy import LocalProxy, token, until
from tests.kit.ports import LOOPBACK
from tests.kit.rolegate import RunningProxy

ON_BOTH_LOOPS = True

ROUTE = {"upgrade": ["websocket"]}
MIB = 2**20

Handler = Callable[[ServerConnection], Awaitable[None]]


async def echo(socket: ServerConnection) -> None:
    """Send every message back as it came."""
    with contextlib.suppress(ConnectionClosed):
        async for message in socket:
            await socket.send(message)


@asynccontextmanager
async def a_server(handler: Handler = echo, **options: Any) -> AsyncGenerator[str]:  # Any: as `serve` has it
    async with serve(handler, LOOPBACK, 0, max_size=None, **options) as server:
        [listening] = server.sockets
        yield f"http://{LOOPBACK}:{listening.getsockname()[1]}"


@asynccontextmanager
async def a_proxy(handler: Handler = echo, **options: Any) -> AsyncGenerator[LocalProxy]:  # Any: as above
    async with a_server(handler, **options) as url, LocalProxy(url, route=ROUTE) as proxy:
        yield proxy


def through(
    port: int, path: str = "/chat", *, bearer: str | None = None, **options: Any
) -> connect:  # Any: as `connect`
    given = token() if bearer is None else bearer
    headers = {"Authorization": f"Bearer {given}"} if given else {}
    return connect(
        f"ws://{LOOPBACK}:{port}{path}",
        additional_headers=headers,
        max_size=None,
        open_timeout=20,
        close_timeout=20,
        **options,
    )


async def until_recorded(proxy: LocalProxy, count: int = 1) -> list[str]:
    """Return the reasons of the outcomes, once there are `count` and nothing is left open."""
    listener, pool = proxy.proxy.listener, proxy.proxy.pools["api"]
    await until(lambda: len(proxy.records("outcome")) >= count, what="the outcome")
    await until(lambda: listener.connection_count == 0, what="the end of the client's connections")
    await until(lambda: pool.busy_count == 0, what="the end of the upstream's connections")
    assert (proxy.in_flight, len(proxy.proxy.environment.streams)) == (0, 0)
    return [record["reason"] for record in proxy.records("outcome")]


async def test_text_and_binary_come_back_as_they_were() -> None:
    async with a_proxy() as proxy:
        async with through(proxy.port) as socket:
            for message in ("", "text", "ünïcödé 😀", b"", bytes(range(256)), "a" * 70_000, b"b" * 200_000):
                await socket.send(message)
                assert await socket.recv() == message
        assert await until_recorded(proxy) == ["completed"]


async def test_a_record_says_what_passed_and_for_how_long() -> None:
    async with a_proxy() as proxy:
        async with through(proxy.port, compression=None) as socket:
            await until(lambda: len(proxy.records("decision")) == 1, what="the decision")
            assert proxy.records("outcome") == []
            assert len(proxy.proxy.environment.streams) == 1
            await socket.send(b"x" * 100_000)
            await socket.recv()
        await until_recorded(proxy)
        [outcome] = proxy.records("outcome")
        assert outcome["status"] == 101
        assert 100_000 < outcome["bytes_in"] < 100_100
        assert 100_000 < outcome["bytes_out"] < 100_100
        assert outcome["duration_ms"] > 0


async def test_the_upstream_is_told_who_opened_it_and_not_the_token() -> None:
    seen: list[Any] = []

    async def note(socket: ServerConnection) -> None:
        assert socket.request is not None
        seen.append(socket.request.headers)

    async with a_proxy(note) as proxy:
        async with through(proxy.port) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        [headers] = seen
        assert headers["X-Rolegate-Subject"] == "service-7"
        assert "Authorization" not in headers
        assert headers["Upgrade"] == "websocket"


async def test_fragments_arrive_as_one_message() -> None:
    async with a_proxy() as proxy, through(proxy.port) as socket:
        await socket.send(["one ", "two ", "three"])
        assert await socket.recv() == "one two three"
        await socket.send([b"1" * 70_000, b"", b"2"])
        assert await socket.recv() == b"1" * 70_000 + b"2"


async def test_fragments_go_through_one_by_one() -> None:
    """A message that has not ended is not waited for."""
    pieces: asyncio.Queue[str | bytes] = asyncio.Queue()

    async def note(socket: ServerConnection) -> None:
        async for piece in socket.recv_streaming():
            pieces.put_nowait(piece)

    async def slowly() -> AsyncGenerator[str]:
        for piece in ("a", "b", "c"):
            yield piece
            async with asyncio.timeout(10):
                assert await pieces.get() == piece

    async with a_proxy(note) as proxy, through(proxy.port) as socket:
        await socket.send(slowly())


async def test_pings_are_answered_by_the_other_side() -> None:
    at_server: list[ServerConnection] = []

    async def keep(socket: ServerConnection) -> None:
        at_server.append(socket)
        await socket.wait_closed()

    async with a_proxy(keep) as proxy, through(proxy.port) as socket:
        async with asyncio.timeout(10):
            await (await socket.ping(b"from the client"))
            await until(lambda: bool(at_server), what="the server's connection")
            await (await at_server[0].ping(b"from the server"))


@pytest.mark.parametrize("code", [CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, 4321])
@pytest.mark.parametrize("who", ["client", "server"])
async def test_a_close_code_and_its_reason_arrive(code: int, who: str) -> None:
    at_server: list[ServerConnection] = []

    async def maybe_close(socket: ServerConnection) -> None:
        at_server.append(socket)
        if who == "server":
            await socket.close(code, "grund ü")
        await socket.wait_closed()

    async with a_proxy(maybe_close) as proxy:
        async with through(proxy.port) as socket:
            if who == "client":
                await socket.close(code, "grund ü")
            await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (code, "grund ü")
        await until(lambda: bool(at_server) and at_server[0].close_code is not None, what="the close")
        assert (at_server[0].close_code, at_server[0].close_reason) == (code, "grund ü")
        assert await until_recorded(proxy) == ["completed"]


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_sixteen_mebibytes_are_one_message(compression: str | None) -> None:
    message = bytes(range(256)) * (16 * MIB // 256)
    async with a_proxy() as proxy:
        async with through(proxy.port, compression=compression) as socket:
            await socket.send(message)
            async with asyncio.timeout(60):
                assert await socket.recv() == message
        assert await until_recorded(proxy) == ["completed"]


@pytest.mark.parametrize("slow", ["client", "server"])
async def test_a_slow_peer_holds_the_other_back_and_gets_everything(slow: str) -> None:
    """What the sockets' buffers, some 20 MiB, do not take waits at the sender, not here."""
    message, count = b"m" * MIB, 64
    go_on = asyncio.Event()
    sent: list[int] = []

    async def produce(socket: ServerConnection | ClientConnection) -> None:
        for number in range(count):
            await socket.send(message)
            sent.append(number)

    async def consume(socket: ServerConnection | ClientConnection) -> None:
        await go_on.wait()
        for _ in range(count):
            assert await socket.recv() == message

    async def server(socket: ServerConnection) -> None:
        await (produce(socket) if slow == "client" else consume(socket))
        await socket.wait_closed()

    def waiting_here() -> int:
        return sum(
            stream.tunnel.client.waiting_bytes + stream.tunnel.upstream.waiting_bytes
            for stream in proxy.proxy.environment.streams._open
        )

    quick: dict[str, Any] = {"compression": None, "max_queue": 1, "write_limit": 1024, "ping_interval": None}
    async with a_proxy(server, **quick) as proxy, through(proxy.port, **quick) as socket:
        # The loop's own group owns the producer.
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task((consume if slow == "client" else produce)(socket))
            try:
                await until(lambda: waiting_here() > 0, what="a peer that takes no more")
                seen = -1
                while len(sent) != seen:  # until nothing moves any more
                    seen = len(sent)
                    await asyncio.sleep(0.2)
                assert seen < count
                assert waiting_here() < MIB
            finally:
                go_on.set()  # or the server would wait for ever
        assert len(sent) == count


def drop(socket: ServerConnection | ClientConnection, *, with_reset: bool) -> None:
    if with_reset:
        linger = struct.pack("ii", 1, 0)
        socket.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, linger)
    socket.transport.abort()


@pytest.mark.parametrize("who", ["client", "server"])
@pytest.mark.parametrize("with_reset", [False, True])
async def test_an_abrupt_end_is_one_on_the_other_side_too(who: str, with_reset: bool) -> None:
    at_server: list[ServerConnection] = []
    errors: list[ConnectionClosed] = []

    async def server(socket: ServerConnection) -> None:
        at_server.append(socket)
        if who == "server":
            await socket.recv()
            drop(socket, with_reset=with_reset)
            return
        try:
            await socket.recv()
        except ConnectionClosed as error:
            errors.append(error)

    async with a_proxy(server) as proxy:
        async with through(proxy.port) as socket:
            await until(lambda: bool(at_server), what="the server's connection")
            if who == "server":
                await socket.send("go")
                with pytest.raises(ConnectionClosedError):
                    await socket.recv()
            else:
                drop(socket, with_reset=with_reset)
                await until(lambda: bool(errors), what="the news at the server")
                assert isinstance(errors[0], ConnectionClosedError)
        [reason] = await until_recorded(proxy)
        # Without a reset on the wire, as when a process dies, it is an end of the bytes.
        broken = "client-gone" if who == "client" else "upstream-reset"
        assert reason == broken if with_reset else reason in {"completed", broken}


async def test_compression_is_a_matter_of_the_two_ends() -> None:
    async with a_proxy() as proxy:
        async with through(proxy.port, compression="deflate") as socket:
            assert [extension.name for extension in socket.protocol.extensions] == ["permessage-deflate"]
            await socket.send("a" * 1_000_000)
            assert await socket.recv() == "a" * 1_000_000
        await until_recorded(proxy)
        [outcome] = proxy.records("outcome")
        assert outcome["bytes_in"] < 100_000
        assert outcome["bytes_out"] < 100_000


async def test_a_subprotocol_is_a_matter_of_the_two_ends() -> None:
    offered: Sequence[Subprotocol] = [Subprotocol("v2.chat"), Subprotocol("v1.chat")]
    async with (
        a_proxy(subprotocols=[Subprotocol("v1.chat")]) as proxy,
        through(proxy.port, subprotocols=offered) as socket,
    ):
        assert socket.subprotocol == "v1.chat"


async def test_a_hundred_at_a_time_get_their_own_messages() -> None:
    async with a_proxy() as proxy:
        async with contextlib.AsyncExitStack() as stack:
            sockets = [
                await stack.enter_async_context(through(proxy.port, ping_interval=None)) for _ in range(100)
            ]
            assert len(proxy.proxy.environment.streams) == 100
            for turn, (number, socket) in itertools.product(range(3), enumerate(sockets)):
                await socket.send(f"{turn} of {number}")
            for turn, (number, socket) in itertools.product(range(3), enumerate(sockets)):
                assert await socket.recv() == f"{turn} of {number}"
        assert await until_recorded(proxy, 100) == ["completed"] * 100


@pytest.mark.parametrize("bearer", ["", "not.a.token"])
async def test_without_a_good_token_no_byte_reaches_the_upstream(bearer: str) -> None:
    connections: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    server = await asyncio.start_server(accept, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    async with LocalProxy(f"http://{LOOPBACK}:{port}", route=ROUTE) as proxy:
        with pytest.raises(InvalidStatus) as refused:
            async with through(proxy.port, bearer=bearer):
                pass
        assert refused.value.response.status_code == 401
        assert refused.value.response.headers["Connection"] == "close"
        assert connections == []
        assert [kind for kind, _ in proxy.reasons] == ["decision"]
    server.close()


@pytest.mark.parametrize("status", [200, 403, 426, 503])
async def test_a_server_that_does_not_want_to_answers_as_to_any_request(status: int) -> None:
    def decline(socket: ServerConnection, request: object) -> Any:  # Any: the library's response
        return socket.respond(status, "no\n")

    async with a_proxy(process_request=decline) as proxy:
        with pytest.raises(InvalidStatus) as refused:
            async with through(proxy.port):
                pass
        response = refused.value.response
        assert (response.status_code, response.body) == (status, b"no\n")
        assert await until_recorded(proxy) == ["completed"]
        assert proxy.records("outcome")[0]["status"] == status


async def test_a_route_that_does_not_allow_it_forwards_a_plain_request() -> None:
    async with a_server() as url, LocalProxy(url) as proxy:
        with pytest.raises(InvalidStatus) as refused:
            async with through(proxy.port):
                pass
        assert refused.value.response.status_code == 426
        assert proxy.records("outcome")[0]["status"] == 426


async def test_a_stream_ends_with_its_token() -> None:
    async with a_proxy() as proxy:
        bearer = token(exp=int(time.time()) + 4)
        async with through(proxy.port, bearer=bearer) as socket:
            await socket.send("while it is valid")
            assert await socket.recv() == "while it is valid"
            async with asyncio.timeout(20):
                with pytest.raises(ConnectionClosedError):
                    await socket.recv()
        assert await until_recorded(proxy) == ["token-expired"]


async def test_a_route_may_let_streams_outlive_their_token() -> None:
    route = {**ROUTE, "unsafe_streams_outlive_token": True}
    async with (
        a_server() as url,
        LocalProxy(url, route=route) as proxy,
        through(proxy.port, bearer=token(exp=int(time.time()) + 2)) as socket,
    ):
        [stream] = proxy.proxy.environment.streams._open
        assert stream.ends_at == float("inf")
        assert stream.identity is not None
        await socket.send("a")
        assert await socket.recv() == "a"


async def test_a_silent_stream_is_closed_after_the_routes_idle_timeout() -> None:
    route = {**ROUTE, "timeouts": {"idle": "300ms"}}
    async with a_server() as url, LocalProxy(url, route=route) as proxy:
        async with through(proxy.port, ping_interval=None) as socket:
            async with asyncio.timeout(20):
                with pytest.raises(ConnectionClosedError):
                    await socket.recv()
        assert await until_recorded(proxy) == ["stream-idle"]


async def test_a_stop_leaves_streams_their_time_and_then_resets_them(tmp_path: Path) -> None:
    async with a_server() as url:
        settings = configuration(url, tmp_path, listen={"timeouts": {"shutdown": "3s"}})
        routes = settings["routes"]
        assert isinstance(routes, list)
        routes[0]["upgrade"] = ["websocket"]
        async with RunningProxy(settings) as proxy:
            async with through(proxy.port) as socket:
                await socket.send("before")
                assert await socket.recv() == "before"
                assert "rolegate_open_streams 1.0" in await asyncio.to_thread(proxy.metrics_text)
                proxy.send_signal(signal.SIGTERM)
                await socket.send("meanwhile")
                assert await socket.recv() == "meanwhile"
                async with asyncio.timeout(20):
                    with pytest.raises(ConnectionClosedError):
                        await socket.recv()
            assert await asyncio.to_thread(proxy._popen.wait, 10) == 0
            outcomes = [record for record in proxy.audit_records() if record["kind"] == "outcome"]
            assert [(record["status"], record["reason"]) for record in outcomes] == [(101, "shutting-down")]
