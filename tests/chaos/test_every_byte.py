"""Upstreams that stop at every byte of a response, and clients that stop at every byte of a request."""

import asyncio
from dataclasses import dataclass

import pytest

from tests.kit.local_proxy import LocalProxy, Record, request, until
from tests.kit.recorder import RecordedConnection, RecordingUpstream
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True

BODY = b"wonderful"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + BODY
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwond\r\n5\r\nerful\r\n0\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n" + BODY
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + LENGTH
FRAMINGS = {"length": LENGTH, "chunked": CHUNKED, "until close": UNTIL_CLOSE, "interim": HINTS}


@dataclass(slots=True)
class Stopping:
    """Sends `at` bytes of a response, and ends or resets; if `is_late` it sends a good one before."""

    whole: bytes
    at: int = 0
    by_reset: bool = False
    is_late: bool = False

    async def script(self, connection: RecordedConnection) -> None:
        if self.is_late:
            await connection.request()
            await connection.write(LENGTH)
        await connection.request()
        at = self.at
        if at:
            await connection.write(self.whole[:at])
        if self.by_reset:
            # Only what was read before a reset counts as having come; the kernel may drop the rest.
            await asyncio.sleep(0)
            connection.reset()

    @property
    def is_whole(self) -> bool:
        """Whether what was sent is a response, as far as anybody can tell."""
        if self.whole is UNTIL_CLOSE:
            return not self.by_reset and self.at >= len(UNTIL_CLOSE) - len(BODY)
        return self.at == len(self.whole)


async def outcome_of(proxy: LocalProxy, count: int) -> Record:
    """Return the last record, once there are `count` outcomes."""
    await until(lambda: proxy.proxy.recorder.outcomes == count, what="the outcome")
    await proxy.until_quiet()
    assert proxy.proxy.recorder.decisions == count
    last: Record = proxy.records("outcome")[-1]
    return last


async def answer(client: ScriptedClient) -> tuple[int, bytes] | None:
    """Return status and body of a final response that came whole, or None."""
    try:
        while True:
            response = await client.read_response()
            if response.status >= 200:
                return response.status, response.body
    except (ConnectionError, asyncio.IncompleteReadError):
        return None


@pytest.mark.parametrize("by_reset", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"], ids=["1.1", "1.0"])
async def test_no_part_of_a_response_passes_for_the_whole(
    framing: str, version: bytes, by_reset: bool
) -> None:
    stopping = Stopping(FRAMINGS[framing], by_reset=by_reset)
    get = request("GET", "/a").replace(b"HTTP/1.1", b"HTTP/" + version)
    async with RecordingUpstream(stopping.script) as upstream, LocalProxy(upstream.url) as proxy:
        for at in range(len(stopping.whole) + 1):
            stopping.at = at
            async with ScriptedClient(proxy.port) as client:
                await client.send(get)
                got = await answer(client)
            outcome = await outcome_of(proxy, at + 1)
            check_answer(stopping, got, outcome)
        pool = proxy.proxy.pools["api"]
        await until(lambda: pool.busy_count + pool.idle_count == 0, what="the end of connections")
        assert len(proxy.records("decision")) == len(stopping.whole) + 1


def check_answer(stopping: Stopping, got: tuple[int, bytes] | None, outcome: Record) -> None:
    at = stopping.at
    if outcome["reason"] == "completed":
        assert stopping.is_whole, at
        sent_body = (
            BODY if stopping.whole is not UNTIL_CLOSE else stopping.whole[:at].partition(b"\r\n\r\n")[2]
        )
        assert got == (200, sent_body), at
        return
    # A reset may overtake what was sent before it.
    assert not stopping.is_whole or stopping.by_reset, (at, outcome)
    assert outcome["reason"] in ("upstream-reset", "upstream-malformed"), (at, outcome)
    if got is None:
        assert outcome["status"] == 200, at
    else:
        assert got[0] == outcome["status"] == 502, at


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_response_that_stops_on_a_connection_that_was_used_before(method: str) -> None:
    """At the first byte it is a stale connection, and the request is sent again if it may be."""
    stopping = Stopping(LENGTH, is_late=True)
    async with RecordingUpstream(stopping.script) as upstream, LocalProxy(upstream.url) as proxy:
        count = 0
        for at in range(len(LENGTH)):
            stopping.at = at
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(request("GET", "/first"))).status == 200
                await client.send(request(method, "/second", body=b"" if method == "POST" else None))
                got = await answer(client)
            count += 2
            outcome = await outcome_of(proxy, count)
            if at == 0 and method == "GET":
                assert (got, outcome["attempts"]) == ((200, BODY), 2)
            else:
                check_answer(stopping, got, outcome)
                assert "attempts" not in outcome
            proxy.proxy.pools["api"].pools[0].close_idle()
            await until(lambda: upstream.open_count == 0, what="the end of the connection")


@pytest.mark.parametrize("leave", ["end", "reset"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
async def test_no_part_of_a_request_passes_for_the_whole(leave: str, is_chunked: bool) -> None:
    data = request("POST", "/a", body=BODY)
    if is_chunked:
        data = request("POST", "/a", b"Transfer-Encoding: chunked") + b"4\r\nwond\r\n5\r\nerful\r\n0\r\n\r\n"
    # Every byte of the line and of the end; of the token some will do.
    body_at = data.index(b"\r\n\r\n") - 60
    stops = [*range(60), *range(60, body_at, 37), *range(body_at, len(data))]
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        for at in stops:
            async with ScriptedClient(proxy.port) as client:
                await client.send(data[:at])
                if leave == "reset":
                    client.reset()
                else:
                    client.end_sending()
                    assert b" 200 " not in await client.read_to_end(), at
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the end of the clients")
        await proxy.until_quiet()
        # Where a client left while a connection was being opened for it, that waits for the next one.
        proxy.proxy.pools["api"].pools[0].close_idle()
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connections")
        assert upstream.requests == []
        decided = {record["request_id"]: record["decision"] for record in proxy.records("decision")}
        outcomes = [record["request_id"] for record in proxy.records("outcome")]
        assert sorted(outcomes) == sorted(one for one, decision in decided.items() if decision == "allow")
        assert {record["reason"] for record in proxy.records("outcome")} == {"client-gone"}
