"""Clients that leave, at every moment: what they began ends with them, on record, and nothing is left."""

import pytest

from tests.kit.local_proxy import LocalProxy, bearer, get, request, until
from tests.kit.recorder import RecordedConnection, RecordingUpstream
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True


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
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "client-gone")]
        assert proxy.records("outcome")[0]["status"] == 499


@pytest.mark.parametrize("leave", ["reset", "close", "half-close"])
async def test_a_client_that_leaves_in_mid_upload_leaves_no_complete_request(leave: str) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(request("POST", "/", b"Transfer-Encoding: chunked") + b"b\r\nfirst piece\r\n")
            await until(lambda: b"first piece" in upstream.received, what="the first piece")
            {"reset": client.reset, "close": client.writer.close, "half-close": client.end_sending}[leave]()
            await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        await proxy.until_quiet()
        assert upstream.requests == []
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "client-gone")]


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
