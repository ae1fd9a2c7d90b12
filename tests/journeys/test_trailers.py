"""Trailers on their way: behind the body on both sides, never in a head, and bounded."""

import pytest

from tests.kit.local_proxy import LocalProxy, get, request
from tests.kit.recorder import RecordedConnection, RecordingUpstream, Script, answering
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True

CHUNKED = b"Transfer-Encoding: chunked"


def chunked_response(trailers: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n\r\n2\r\nok\r\n0\r\n" + trailers + b"\r\n"


def saying(answer: bytes) -> Script:
    return answering(lambda _: answer)


async def answer_of(proxy: LocalProxy, data: bytes) -> bytes:
    """Return all of the answer to `data`, a request that is the last one."""
    async with ScriptedClient(proxy.port) as client:
        await client.send(data)
        return await client.read_to_end()


async def test_trailers_of_a_request_go_behind_its_body() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        head = request("POST", "/a", CHUNKED, b"Connection: X-Hop")
        trailers = b"X-Sum:  abc \r\nX-Hop: d\r\nX-Empty:\r\nx-rolegate-subject: mallory\r\nX-Sum: again\r\n"
        body = b"1\r\na\r\n0\r\n" + trailers + b"\r\n"
        assert [(await client.request(head + body)).status for _ in range(2)] == [200, 200]
        for received in upstream.requests:
            assert received.endswith(
                b"\r\n\r\n1\r\na\r\n0\r\nX-Sum: abc \r\nX-Empty: \r\nX-Sum: again\r\n\r\n"
            )
            assert b"X-Sum" not in received.partition(b"\r\n\r\n")[0]
        assert len(upstream.requests) == 2


async def test_trailers_that_come_before_the_connection_does_go_along() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        data = request("POST", "/a", CHUNKED) + b"1\r\na\r\n0\r\nX-Sum: b\r\n\r\n"
        # The second one is held until the first is answered.
        await client.send(data + data + get("/next"))
        assert [(await client.read_response()).status for _ in range(3)] == [200] * 3
        assert [sent.endswith(b"0\r\nX-Sum: b\r\n\r\n") for sent in upstream.requests] == [True, True, False]


async def test_trailers_of_one_request_are_not_those_of_the_next() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        head = request("POST", "/a", CHUNKED)
        await client.request(head + b"0\r\nX-Sum: b\r\n\r\n")
        await client.request(head + b"0\r\n\r\n")
        assert [b"X-Sum" in sent for sent in upstream.requests] == [True, False]


@pytest.mark.parametrize(("count", "is_taken"), [(3, True), (4, False)])
async def test_head_and_trailers_together_keep_the_limit_of_lines(count: int, is_taken: bool) -> None:
    head = request("POST", "/a", CHUNKED)  # three lines with Host and Authorization
    data = head + b"1\r\na\r\n0\r\n" + b"X: y\r\n" * count + b"\r\n"
    listen = {"max_header_count": 6}
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, listen=listen) as proxy:
        async with ScriptedClient(proxy.port) as client:
            response = await client.request(data)
            assert response.status == (200 if is_taken else 431)
        assert len(upstream.requests) == int(is_taken)


@pytest.mark.parametrize("over", [0, 1])
async def test_head_and_trailers_together_keep_the_limit_of_bytes(over: int) -> None:
    head = request("POST", "/a", CHUNKED)
    used = len(head) - len(b"POST /a HTTP/1.1\r\n\r\n")
    data = head + b"1\r\na\r\n0\r\nX: " + b"y" * (4096 - used - 5 + over) + b"\r\n\r\n"
    listen = {"max_header_bytes": "4KiB"}
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, listen=listen) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(data)).status == (431 if over else 200)
        assert len(upstream.requests) == 1 - over


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_a_trailer_keeps_the_limit_of_a_line(over: int) -> None:
    data = request("POST", "/a", CHUNKED) + b"0\r\nX: " + b"y" * (2048 - 5 + over) + b"\r\n\r\n"
    listen = {"max_header_line_bytes": 2048}
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, listen=listen) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(data)).status == (431 if over > 0 else 200)
        assert len(upstream.requests) == int(over <= 0)


LAST = b"Connection: close"


async def test_trailers_of_a_response_go_behind_its_body() -> None:
    trailers = b"X-Sum:  abc \r\nSet-Cookie: a=b\r\nContent-Type: a/b\r\nETag: x\r\nX-Request-Id: i\r\n"
    async with (
        RecordingUpstream(saying(chunked_response(trailers))) as upstream,
        LocalProxy(upstream.url) as proxy,
    ):
        received = await answer_of(proxy, get("/", LAST))
        assert received.endswith(b"\r\n\r\n2\r\nok\r\n0\r\nX-Sum: abc \r\nETag: x\r\n\r\n")
        head = received.partition(b"\r\n\r\n")[0]
        for word in (b"X-Sum", b"ETag", b"Cookie"):
            assert word not in head


async def test_what_connection_names_is_no_trailer_of_a_response() -> None:
    answer = chunked_response(b"X-Hop: a\r\nX-Far: b\r\n").replace(
        b"OK\r\n", b"OK\r\nConnection: X-Hop\r\n", 1
    )
    async with RecordingUpstream(saying(answer)) as upstream, LocalProxy(upstream.url) as proxy:
        assert (await answer_of(proxy, get("/", LAST))).endswith(b"0\r\nX-Far: b\r\n\r\n")


async def test_http_1_0_has_no_place_for_trailers() -> None:
    async with (
        RecordingUpstream(saying(chunked_response(b"X-Sum: a\r\n"))) as upstream,
        LocalProxy(upstream.url) as proxy,
    ):
        received = await answer_of(proxy, get().replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        assert received.endswith(b"\r\n\r\nok")


async def test_responses_on_one_connection_have_their_own_trailers() -> None:
    answers = iter(
        [chunked_response(b"X-Sum: a\r\n"), chunked_response(b""), chunked_response(b"X-Sum: c\r\n")]
    )
    async with (
        RecordingUpstream(answering(lambda _: next(answers))) as upstream,
        LocalProxy(upstream.url) as proxy,
    ):
        received = await answer_of(proxy, get() + get() + get("/", LAST))
        assert received.count(b"X-Sum: a") == received.count(b"X-Sum: c") == 1
        assert received.count(b"\r\n0\r\n\r\n") == 1
        assert len(upstream.connections) == 1


@pytest.mark.parametrize(
    "trailers", [b"X: y\r\n" * 200, b"X: " + b"y" * 135_000 + b"\r\n"], ids=["lines", "bytes"]
)
async def test_trailers_without_measure_break_the_response_off(trailers: bytes) -> None:
    async with (
        RecordingUpstream(saying(chunked_response(trailers))) as upstream,
        LocalProxy(upstream.url) as proxy,
    ):
        received = await answer_of(proxy, get("/", LAST))
        assert b"\r\n0\r\n" not in received
        await proxy.until_quiet()
        assert proxy.reasons[-1] == ("outcome", "upstream-malformed")


@pytest.mark.parametrize(
    ("lines", "is_told"),
    [
        ((b"TE: trailers", b"Connection: TE"), True),
        ((b"te: Trailers", b"TE: trailers"), True),
        ((b"TE: gzip",), False),
        ((), False),
    ],
)
async def test_a_client_that_takes_trailers_is_one_to_the_upstream(
    lines: tuple[bytes, ...], is_told: bool
) -> None:
    """RFC 9110 section 10.1.4: an upstream may keep them to itself otherwise."""
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        await answer_of(proxy, get("/", *lines) + get("/", LAST))
        first = upstream.requests[0]
        assert first.count(b"\r\nConnection: TE\r\nTE: trailers\r\n") == int(is_told)
        assert first.lower().count(b"\r\nte:") == int(is_told)


async def test_trailers_after_an_early_response_harm_nobody() -> None:
    async def hasty(connection: RecordedConnection) -> None:
        await connection.read()
        await connection.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        while await connection.read():
            pass

    async with RecordingUpstream(hasty) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(request("POST", "/a", CHUNKED) + b"1\r\na\r\n")
            assert (await client.read_response()).status == 403
            await client.send(b"0\r\nX-Sum: a\r\n\r\n")
            assert await client.is_closed()
        await proxy.until_quiet()
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "completed")]
