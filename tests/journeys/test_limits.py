"""Every limit at, below and above; what is above is refused before any of it goes upstream."""

import asyncio

import pytest

from tests.journeys.refused import record_of_refused
from tests.kit.local_proxy import HOST, LocalProxy, bearer, get, request, until
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream
from tests.kit.scripted import ScriptedClient

# The token of a test is a header too, and takes a good part of this.
MAX_HEADER_BYTES = 4096
LISTEN = {"max_header_bytes": MAX_HEADER_BYTES, "max_header_count": 20, "max_target_bytes": 500}


def head_bytes(data: bytes) -> int:
    """Return what the header lines of a request count: name, value, and four for what is between."""
    return sum(len(line) + 2 for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:])


@pytest.mark.parametrize("over", [-1, 0, 1, 5000, 100_000])
@pytest.mark.parametrize("pieces", [1, 7])
async def test_header_bytes(over: int, pieces: int) -> None:
    missing = MAX_HEADER_BYTES + over - head_bytes(get("/", b"X-A: "))
    data = get("/", b"X-A: " + b"a" * missing)
    assert head_bytes(data) == MAX_HEADER_BYTES + over
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, listen=LISTEN) as proxy:
        if over > 0:
            splits = [len(data) * n // pieces for n in range(1, pieces)]
            await record_of_refused(
                proxy, upstream, data, status=431, reason="headers-too-large", splits=splits
            )
        else:
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(data)).status == 200


# A token of a test takes some 600 bytes.
MAX_LINE_BYTES = 2048


@pytest.mark.parametrize("over", [-1, 0, 1, 1000])
@pytest.mark.parametrize("name", [b"X-A", b"X-" + b"a" * 1000])
@pytest.mark.parametrize("is_first", [True, False])
async def test_header_line_bytes(over: int, name: bytes, is_first: bool) -> None:
    """Each line counts for itself: two that are as long as may be are one request."""
    line = name + b": " + b"a" * (MAX_LINE_BYTES + over - len(name) - 4)
    longest = b"X-B: " + b"b" * (MAX_LINE_BYTES - len(b"X-B: \r\n"))
    data = get("/", line, longest) if is_first else get("/", longest, line)
    listen = {"max_header_line_bytes": MAX_LINE_BYTES}
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, listen=listen) as proxy:
        if over > 0:
            await record_of_refused(proxy, upstream, data, status=431, reason="headers-too-large")
        else:
            async with ScriptedClient(proxy.port) as client:
                for _ in range(2):  # the second time the lines are familiar
                    assert (await client.request(data)).status == 200


# One blank behind each colon is usual, and counted with its line.
@pytest.mark.parametrize("blanks", [1, 1024, 1025, 1026, 100_000])
@pytest.mark.parametrize("blank", [b" ", b"\t"])
@pytest.mark.parametrize("pieces", [1, 5])
async def test_blanks_around_values_have_a_limit_too(blanks: int, blank: bytes, pieces: int) -> None:
    """The parser leaves them out, so that no limit of what it tells would count them."""
    data = get("/", b"X-A:" + blank * blanks + b"a")
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        if blanks > 1025:
            splits = [len(data) * n // pieces for n in range(1, pieces)]
            await record_of_refused(
                proxy, upstream, data, status=431, reason="headers-too-large", splits=splits
            )
        else:
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(data)).status == 200


@pytest.mark.parametrize("count", [19, 20, 21, 1000])
async def test_header_count(count: int) -> None:
    data = get("/", *[b"a: b"] * (count - 2))
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, listen=LISTEN) as proxy:
        if count > 20:
            await record_of_refused(proxy, upstream, data, status=431, reason="headers-too-large")
        else:
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(data)).status == 200


@pytest.mark.parametrize("length", [499, 500, 501, 5000, 300_000])
async def test_target_bytes(length: int) -> None:
    data = get("/" + "a" * (length - 1))
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, listen=LISTEN) as proxy:
        if length > 500:
            await record_of_refused(proxy, upstream, data, status=414, reason="target-too-long")
        else:
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(data)).status == 200


@pytest.mark.parametrize(
    "start", [b"GET / HTTP/1.1\r\nX-A: ", b"GET / HTTP/1.1\r\nX-", b"GET / HTTP/1.1\r\nX:"]
)
async def test_a_header_without_end_is_not_gathered(start: bytes) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, listen=LISTEN) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(start)
            for _ in range(20):
                await client.send((b"a" if start[-1:] != b":" else b" ") * 1000)
                await asyncio.sleep(0.001)
            assert (await client.read_response()).status == 431
        assert upstream.byte_count == 0


MAX_BODY = {"max_body": 1000}


@pytest.mark.parametrize("size", [999, 1000, 1001, 10**12])
async def test_announced_body_bytes(size: int) -> None:
    head = request("POST", "/", b"Content-Length: %d" % size)
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route=MAX_BODY) as proxy:
        if size > 1000:
            await record_of_refused(proxy, upstream, head, status=413, reason="body-too-large")
        else:
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(head + b"a" * size)).status == 200


@pytest.mark.parametrize("size", [999, 1000, 1001, 3000])
@pytest.mark.parametrize("together", [True, False])
async def test_chunked_body_bytes(size: int, together: bool) -> None:
    head = request("POST", "/", b"Transfer-Encoding: chunked")
    chunks = b"1\r\na\r\n" * size + b"0\r\n\r\n"
    behind = get("/behind")
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route=MAX_BODY) as proxy:
        async with ScriptedClient(proxy.port) as client:
            if together:
                await client.send(head + chunks + behind)
            else:
                await client.send(head)
                await until(lambda: upstream.byte_count > 0, what="the head")
                await client.send(chunks + behind)
            response = await client.read_response()
            if size > 1000:
                assert (response.status, response.header("Connection")) == (413, "close")
                assert await client.read_to_end() == b""
            else:
                assert response.status == 200
                assert (await client.read_response()).status == 200
        await proxy.until_quiet()
        assert (b"/behind" in upstream.received) == (size <= 1000)
        assert len(upstream.requests) == (0 if size > 1000 else 2)
        assert len(proxy.records("decision")) == (1 if size > 1000 else 2)


@pytest.mark.parametrize("loop", [1])
async def test_connections(loop: int) -> None:
    listen = {"max_connections": 3}
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, listen=listen) as proxy:
        clients = [await ScriptedClient(proxy.port).connect() for _ in range(3)]
        for client in clients:
            assert (await client.request(get())).status == 200
        async with ScriptedClient(proxy.port) as one_more:
            assert await one_more.read_to_end() == b""
        assert proxy.proxy.listener.refused == 1
        for client in clients:
            assert (await client.request(get())).status == 200
        await clients.pop().close()
        await until(lambda: proxy.proxy.listener.connection_count == 2, what="the end of one connection")
        async with ScriptedClient(proxy.port) as next_one:
            assert (await next_one.request(get())).status == 200
        for client in clients:
            await client.close()


@pytest.mark.parametrize("count", [64, 65, 66, 80])
async def test_requests_that_wait_their_turn(count: int) -> None:
    release = asyncio.Event()

    async def slow(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await release.wait()
            await connection.write(OK)

    small = f"GET /public/a HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    async with RecordingUpstream(slow) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(small * count)
            await until(lambda: upstream.byte_count > 0, what="the first request")
            release.set()
            # One is answered while 64 wait.
            statuses = [(await client.read_response()).status for _ in range(min(count, 65))]
            assert statuses == [200] * min(count, 65)
            if count > 65:
                assert (await client.read_response()).status == 400
                assert await client.read_to_end() == b""
        await proxy.until_quiet()
        assert len(upstream.requests) == min(count, 65)
        assert len(proxy.records("decision")) == min(count, 66)


async def test_upstream_connections_are_never_more_than_allowed() -> None:
    async def flaky(connection: RecordedConnection) -> None:
        for _ in range(3):
            if await connection.request() is None:
                return
            await asyncio.sleep(0.001)
            await connection.write(OK)

    most = 0
    settings = {"max_connections": 3}
    async with RecordingUpstream(flaky) as upstream, LocalProxy(upstream.url, upstream=settings) as proxy:
        clients = [await ScriptedClient(proxy.port).connect() for _ in range(12)]

        async def many(client: ScriptedClient) -> list[int]:
            nonlocal most
            statuses = []
            for _ in range(12):
                statuses.append((await client.request(get())).status)
                most = max(most, proxy.proxy.pools["api"].busy_count + proxy.proxy.pools["api"].idle_count)
            return statuses

        statuses = await asyncio.gather(*(many(client) for client in clients))
        # The upstream closes after a response without a word: a request that crosses the close fails.
        assert {status for row in statuses for status in row} <= {200, 502}
        assert sum(row.count(200) for row in statuses) > 12 * 12 * 0.5
        assert most <= 3
        for client in clients:
            await client.close()
        assert bearer() not in upstream.received


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_connections_of_one_client(count: int) -> None:
    listen = {"max_connections_per_client": 2}
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, listen=listen) as proxy:
        clients = [await ScriptedClient(proxy.port).connect() for _ in range(count)]
        for client in clients[:2]:
            assert (await client.request(get())).status == 200
        for client in clients[2:]:
            assert await client.is_closed()
        assert proxy.proxy.listener.crowd.refused == max(0, count - 2)
        for client in clients:
            await client.close()
        await until(lambda: len(proxy.proxy.listener.crowd) == 0, what="the end of the connections")
        async with ScriptedClient(proxy.port) as another:
            assert (await another.request(get())).status == 200


async def test_connections_of_a_trusted_proxy_are_those_of_many() -> None:
    listen = {"max_connections_per_client": 1, "trusted_proxies": ["127.0.0.0/8"]}
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=listen) as proxy,
        ScriptedClient(proxy.port) as one,
        ScriptedClient(proxy.port) as two,
    ):
        assert (await one.request(get())).status == 200
        assert (await two.request(get())).status == 200


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("pipelined", [False, True])
async def test_requests_on_a_connection(count: int, pipelined: bool) -> None:
    listen = {"max_requests_per_connection": 3}
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, listen=listen) as proxy:
        async with ScriptedClient(proxy.port) as client:
            if pipelined:
                await client.send(get() * count)
            for number in range(1, min(count, 3) + 1):
                response = await client.read_response() if pipelined else await client.request(get())
                assert response.status == 200
                assert response.header("Connection") == ("close" if number == 3 else None)
            if count > 2:
                assert await client.read_to_end() == b""
        await proxy.until_quiet()
        assert len(upstream.requests) == min(count, 3)
        assert len(proxy.records("decision")) == min(count, 3)


async def test_a_refusal_counts_as_a_request_of_its_connection() -> None:
    listen = {"max_requests_per_connection": 2}
    refused = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=listen) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(refused)).header("Connection") is None
        assert (await client.request(refused)).header("Connection") == "close"
        assert await client.read_to_end() == b""
