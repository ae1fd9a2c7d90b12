"""Clients that leave, at every moment: what they began ends with them, on record, and nothing is left."""

import asyncio
import ssl
from pathlib import Path

import pytest

from proxy.assemble import SWEEP_S
from tests.kit.certificates import Authority
from tests.kit.local_proxy import LocalProxy, bearer, get, request, until
from tests.kit.recorder import RecordedConnection, RecordingUpstream
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True

GONE = [("decision", "allowed"), ("outcome", "client-gone")]


async def silent(connection: RecordedConnection) -> None:
    """Read everything and answer nothing."""
    while await connection.read():
        pass


async def deaf(connection: RecordedConnection) -> None:
    """Read once, and nothing more."""
    await connection.read()
    await asyncio.Event().wait()


def leave(client: ScriptedClient, how: str) -> None:
    {"reset": client.reset, "close": client.writer.close, "half-close": client.end_sending}[how]()


async def test_a_client_that_leaves_in_mid_response_takes_the_upstream_connection_with_it() -> None:
    async def endless(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await connection.write(b"1000\r\n" + b"a" * 4096 + b"\r\n")

    async with RecordingUpstream(endless) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(get())
            await client.reader.readexactly(100_000)
            client.reset()
        await proxy.until_quiet()
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        assert proxy.reasons == GONE
        assert proxy.records("outcome")[0]["status"] == 499


@pytest.mark.parametrize("how", ["reset", "close", "half-close"])
async def test_a_client_that_leaves_in_mid_upload_leaves_no_complete_request(how: str) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(request("POST", "/", b"Transfer-Encoding: chunked") + b"b\r\nfirst piece\r\n")
            await until(lambda: b"first piece" in upstream.received, what="the first piece")
            leave(client, how)
            await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        await proxy.until_quiet()
        assert upstream.requests == []
        assert proxy.reasons == GONE


@pytest.mark.parametrize("how", ["reset", "close", "half-close"])
@pytest.mark.parametrize("behind", [get("/second"), get("/second") * 30, b"GET /second HTTP/1.1\r\nHost"])
async def test_a_client_that_leaves_while_its_next_request_waits_is_not_waited_for(
    how: str, behind: bytes
) -> None:
    async with RecordingUpstream(silent) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(get("/first") + behind)
            await until(lambda: b"/first" in upstream.received, what="the first request")
            leave(client, how)
            await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        await proxy.until_quiet()
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the end of the connection")
        assert b"/second" not in upstream.received
        assert proxy.reasons == GONE
        assert not proxy.proxy.listener.unread


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("door", ["tls", "unix"])
async def test_leaving_is_noticed_at_every_kind_of_door(tmp_path: Path, door: str, how: str) -> None:
    authority = Authority(tmp_path)
    path = str(tmp_path / "web.sock") if door == "unix" else None
    certificate = authority.server("api.example.com").files
    listen = {"address": f"unix:{path}"} if path else {"tls": {"certificates": [certificate]}}
    tls = None if path else ssl.create_default_context(cafile=authority.ca_file)
    async with RecordingUpstream(silent) as upstream, LocalProxy(upstream.url, listen=listen) as proxy:
        client = await ScriptedClient(proxy.port, tls=tls, path=path).connect()
        await client.send(get("/first") + get("/second"))
        await until(lambda: b"/first" in upstream.received, what="the first request")
        if how == "close" or path:
            client.writer.transport.abort()  # a farewell of TLS would wait for ours
        else:
            client.reset()
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        await proxy.until_quiet()
        assert proxy.reasons == GONE
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the end of the connection")


@pytest.mark.parametrize("behind", [b"", get("/second")], ids=["read", "unread"])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_who_half_closes_never_takes_a_part_of_a_response_for_the_whole(
    version: bytes, behind: bytes
) -> None:
    async def begin(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await silent(connection)

    async with RecordingUpstream(begin) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(get("/first").replace(b"HTTP/1.1", b"HTTP/" + version) + behind)
            await client.reader.readuntil(b"first")
            client.end_sending()
            if version == b"1.0":
                with pytest.raises(ConnectionResetError):
                    await client.reader.read(-1)
            else:
                assert b"0\r\n\r\n" not in await client.reader.read(-1)
        await proxy.until_quiet()
        assert proxy.reasons == GONE


@pytest.mark.parametrize("how", ["reset", "close", "half-close"])
async def test_a_client_that_leaves_while_the_upstream_does_not_take_its_body_is_not_waited_for(
    how: str,
) -> None:
    async with RecordingUpstream(deaf) as upstream, LocalProxy(upstream.url) as proxy:
        client = await ScriptedClient(proxy.port).connect()
        await client.send(request("POST", "/", b"Content-Length: 100000000"))
        async with asyncio.timeout(10):
            # Not more than the kernel takes: an end behind what it does not take is not on its way yet.
            while not proxy.proxy.listener.unread:
                await client.send(bytes(65_536))
                await asyncio.sleep(0.001)
        leave(client, how)
        await proxy.until_quiet()
        await client.close()
        assert proxy.reasons == GONE
        pool = proxy.proxy.pools["api"]
        assert (pool.busy_count, pool.idle_count) == (0, 0)


@pytest.mark.parametrize("behind", [b"\x00" * 3_000_000, b"\r\n" + b"\xff" * 3_000_000])
async def test_a_client_that_leaves_behind_more_than_is_thrown_away_is_not_waited_for(behind: bytes) -> None:
    """What follows the request cannot be read; so much of it comes that nothing more is taken."""
    async with RecordingUpstream(silent) as upstream, LocalProxy(upstream.url) as proxy:
        client = await ScriptedClient(proxy.port).connect()
        client.writer.write(get("/first") + behind)
        await until(lambda: b"/first" in upstream.received, what="the first request")
        await until(lambda: bool(proxy.proxy.listener.unread), what="the pause")
        client.reset()
        await proxy.until_quiet()
        assert proxy.reasons == GONE


async def test_a_client_that_leaves_while_its_upgrade_is_not_answered_is_not_waited_for() -> None:
    route = {"upgrade": ["websocket"]}
    async with RecordingUpstream(silent) as upstream, LocalProxy(upstream.url, route=route) as proxy:
        client = await ScriptedClient(proxy.port).connect()
        handshake = get("/chat", b"Connection: upgrade", b"Upgrade: websocket")
        client.writer.write(handshake + bytes(1_000_000))
        await until(lambda: bool(proxy.proxy.listener.unread), what="the pause")
        client.reset()
        await proxy.until_quiet()
        assert proxy.reasons == GONE


async def test_a_client_that_waits_for_slow_answers_is_not_taken_for_one_that_left() -> None:
    async def slow(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await asyncio.sleep(3 * SWEEP_S)
            await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with RecordingUpstream(slow) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(get("/1") + get("/2") + get("/3"))
            assert [(await client.read_response()).status for _ in range(3)] == [200] * 3
        await proxy.until_quiet()
        assert [record["reason"] for record in proxy.records("outcome")] == ["completed"] * 3
        assert not proxy.proxy.listener.unread


async def test_a_client_that_leaves_before_the_decision_is_recorded_and_not_forwarded() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        for _ in range(20):
            client = await ScriptedClient(proxy.port).connect()
            client.writer.write(get())
            client.reset()
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the end of the connections")
        await proxy.until_quiet()
        outcomes = {record["request_id"] for record in proxy.records("outcome")}
        decided = [record["request_id"] for record in proxy.records("decision")]
        assert len(set(decided)) == len(decided)
        assert outcomes == {r["request_id"] for r in proxy.records("decision") if r["decision"] == "allow"}


async def test_the_end_of_a_connection_leaves_nothing_behind() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        for _ in range(10):
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(get())).status == 200
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the end of the connections")
        pool = proxy.proxy.pools["api"]
        assert (pool.busy_count, pool.idle_count, pool.waiting_count) == (0, 1, 0)
        assert (len(proxy.proxy._tasks), proxy.in_flight) == (2, 0)
        assert bearer() not in upstream.received
