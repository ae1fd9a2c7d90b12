"""Framing and headers that two parsers could read differently: refused, and nothing of them forwarded."""

import pytest

from tests.journeys.refused import record_of_refused, send_split
from tests.kit.local_proxy import LocalProxy, bearer, get, request, until
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream
from tests.kit.scripted import ScriptedClient

AUTH = bearer()
HEAD = b"Host: api.example.com\r\n" + AUTH
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HEAD + b"\r\n"


def lines(first: bytes, *more: bytes) -> bytes:
    """Return a request of these lines, with a smuggled one behind it."""
    return first + b"\r\n" + b"".join(line + b"\r\n" for line in more) + b"\r\n" + SMUGGLED


def post(*more: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    return lines(b"POST / " + version, HEAD[:-2], *more)


UNREADABLE = {
    "content-length and transfer-encoding": post(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "transfer-encoding and content-length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 6"),
    "the same length twice": post(b"Content-Length: 5", b"Content-Length: 5"),
    "a list of lengths": post(b"Content-Length: 5, 5"),
    "a signed length": post(b"Content-Length: +5"),
    "a negative length": post(b"Content-Length: -1"),
    "a hexadecimal length": post(b"Content-Length: 0x5"),
    "an empty length": post(b"Content-Length: "),
    "a length beyond 64 bits": post(b"Content-Length: 99999999999999999999"),
    "a length with a space inside": post(b"Content-Length: 1 1"),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked"),
    "chunked not last": post(b"Transfer-Encoding: chunked, gzip"),
    "a control byte in the coding": post(b"Transfer-Encoding: \x0bchunked"),
    "a space before the colon": post(b"Transfer-Encoding : chunked"),
    "a space before the name": post(b" Transfer-Encoding: chunked"),
    "a folded line": post(b"X-A: b", b" Transfer-Encoding: chunked"),
    "a bare line feed after a header": HEAD.join([b"POST / HTTP/1.1\r\n", b"X-A: b\nX-C: d\r\n\r\n"]),
    "a bare line feed after the request line": b"GET / HTTP/1.1\n" + HEAD + b"\r\n",
    "a bare line feed at the end": b"GET / HTTP/1.1\r\n" + HEAD + b"\n" + SMUGGLED,
    "a bare carriage return": b"GET / HTTP/1.1\r\n" + HEAD + b"X-A: b\rX-C: d\r\n\r\n",
    "a null byte in a value": lines(b"GET / HTTP/1.1", HEAD[:-2], b"X-A: b\0c"),
    "no colon": lines(b"GET / HTTP/1.1", HEAD[:-2], b"X-A"),
    "an empty name": lines(b"GET / HTTP/1.1", HEAD[:-2], b": b"),
    "a parenthesis in a name": lines(b"GET / HTTP/1.1", HEAD[:-2], b"X(A: b"),
    "HTTP/1.2": lines(b"GET / HTTP/1.2", HEAD[:-2]),
    "http/1.1": lines(b"GET / http/1.1", HEAD[:-2]),
    "HTTP/0.9 without a version": b"GET /\r\n\r\n" + SMUGGLED,
    "RTSP": lines(b"OPTIONS / RTSP/1.0", HEAD[:-2]),
    "ICE": lines(b"SOURCE / ICE/1.0", HEAD[:-2]),
    "two spaces before the target": lines(b"GET  / HTTP/1.1", HEAD[:-2]),
    "two spaces after the target": lines(b"GET /  HTTP/1.1", HEAD[:-2]),
    "a space at the end": lines(b"GET / HTTP/1.1 ", HEAD[:-2]),
    "a tab in the request line": lines(b"GET\t/ HTTP/1.1", HEAD[:-2]),
    "an unknown method": lines(b"FETCH / HTTP/1.1", HEAD[:-2]),
    "a method in small letters": lines(b"get / HTTP/1.1", HEAD[:-2]),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED,
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + SMUGGLED,
    "plain line hidden in a header": lines(b"OPTIONS / RTSP/1.0", HEAD[:-2], b"X-A: OPTIONS / HTTP/1.0"),
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_cannot_be_read_one_way_only_is_refused(data: bytes) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        await record_of_refused(proxy, upstream, data, status=400, reason="malformed-request")


REFUSED = {
    "transfer-encoding on HTTP/1.0": (
        post(b"Transfer-Encoding: chunked", b"Connection: keep-alive", version=b"HTTP/1.0"),
        400,
        "ambiguous-framing",
    ),
    "an unknown coding": (post(b"Transfer-Encoding: xchunked"), 400, "ambiguous-framing"),
    "identity": (post(b"Transfer-Encoding: identity"), 400, "ambiguous-framing"),
    "gzip before chunked": (post(b"Transfer-Encoding: gzip, chunked"), 400, "ambiguous-framing"),
    "gzip and chunked on two lines": (
        post(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
        400,
        "ambiguous-framing",
    ),
    "an expectation that nobody knows": (
        lines(b"GET / HTTP/1.1", HEAD[:-2], b"Expect: 200-ok"),
        400,
        "malformed-request",
    ),
    "HTTP/2.0": (lines(b"GET / HTTP/2.0", HEAD[:-2]), 505, "version-unsupported"),
    "HTTP/0.9": (lines(b"GET / HTTP/0.9", HEAD[:-2]), 505, "version-unsupported"),
    "CONNECT": (lines(b"CONNECT api.example.com:443 HTTP/1.1", HEAD[:-2]), 501, "method-refused"),
    "CONNECT with a body": (
        lines(b"CONNECT api.example.com:443 HTTP/1.1", HEAD[:-2], b"Content-Length: 5"),
        400,
        "ambiguous-framing",
    ),
    "TRACE": (lines(b"TRACE / HTTP/1.1", HEAD[:-2]), 501, "method-refused"),
    "an upgrade with a body": (
        post(b"Connection: upgrade", b"Upgrade: h2c", b"Content-Length: 500"),
        400,
        "ambiguous-framing",
    ),
    "an upgrade with a chunked body": (
        post(b"Connection: upgrade", b"Upgrade: h2c", b"Transfer-Encoding: chunked"),
        400,
        "ambiguous-framing",
    ),
}


@pytest.mark.parametrize(("data", "status", "reason"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_the_parser_takes_and_the_next_hop_may_not_is_refused(
    data: bytes, status: int, reason: str
) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        await record_of_refused(proxy, upstream, data, status=status, reason=reason)


HOSTS = {
    "none": lines(b"GET / HTTP/1.1", AUTH[:-2]),
    "none on HTTP/1.0": lines(b"GET / HTTP/1.0", AUTH[:-2]),
    "two": lines(b"GET / HTTP/1.1", HEAD[:-2], b"Host: other.example.com"),
    "the same twice": lines(b"GET / HTTP/1.1", HEAD[:-2], b"Host: api.example.com"),
    "a list": lines(b"GET / HTTP/1.1", AUTH[:-2], b"Host: api.example.com, other.example.com"),
    "empty": lines(b"GET / HTTP/1.1", AUTH[:-2], b"Host: "),
    "with a user": lines(b"GET / HTTP/1.1", AUTH[:-2], b"Host: a@api.example.com"),
    "with a path": lines(b"GET / HTTP/1.1", AUTH[:-2], b"Host: api.example.com/x"),
    "another one in the target": lines(b"GET http://other.example.com/ HTTP/1.1", HEAD[:-2]),
    "another port in the target": lines(b"GET http://api.example.com:81/ HTTP/1.1", HEAD[:-2]),
}


@pytest.mark.parametrize("data", HOSTS.values(), ids=HOSTS.keys())
async def test_a_host_that_is_not_exactly_one_is_refused(data: bytes) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        await record_of_refused(
            proxy, upstream, data.removesuffix(SMUGGLED), status=400, reason="ambiguous-host", stays_open=True
        )


BODIES = {
    "a chunk size that is no number": b"zz\r\nabc\r\n0\r\n\r\n",
    "a chunk size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a negative chunk size": b"-3\r\nabc\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "a chunk longer than its size": b"2\r\nabc\r\n0\r\n\r\n",
    "a bare line feed after a size": b"3\nabc\r\n0\r\n\r\n",
    "a bare line feed after a chunk": b"3\r\nabc\n0\r\n\r\n",
    "a space after a size": b"3 \r\nabc\r\n0\r\n\r\n",
    "no size at all": b"\r\nabc\r\n0\r\n\r\n",
    "a bad trailer": b"3\r\nabc\r\n0\r\nX A: b\r\n\r\n",
    "a length in a trailer": b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n",
    "a framing in a trailer": b"3\r\nabc\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_body_that_cannot_be_read_is_never_complete_to_the_upstream(body: bytes) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(request("POST", "/", b"Transfer-Encoding: chunked") + body + SMUGGLED)
            response = await client.read_response()
            assert (response.status, response.header("Connection")) == (400, "close")
            assert await client.read_to_end() == b""
        await proxy.until_quiet()
        assert upstream.requests == []
        assert b"smuggled" not in upstream.received
        assert proxy.reasons.count(("decision", "allowed")) == 1
        assert len(proxy.records("decision")) == 1


@pytest.mark.parametrize("start", [b"1\r\na\r\n0\r\nX-A: ", b"1;a=", b"1;", b"1\r\na\r\n0\r\nX-"])
async def test_what_never_ends_in_a_body_is_cut_off(start: bytes) -> None:
    """The parser would gather it whole, and take longer for each piece."""
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(request("POST", "/", b"Transfer-Encoding: chunked") + start)
            for _ in range(8):
                await send_split(client, b"a" * 8000, [4000])
            assert (await client.read_response()).status == 431
        await proxy.until_quiet()
        assert upstream.requests == []
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "headers-too-large")]


async def test_a_refused_body_that_comes_later_resets_what_the_upstream_has() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(request("POST", "/", b"Transfer-Encoding: chunked") + b"b\r\nfirst piece\r\n")
            await until(lambda: b"first piece" in upstream.received, what="the first piece of the body")
            await client.send(b"zz\r\n" + SMUGGLED)
            assert (await client.read_response()).status == 400
            assert await client.read_to_end() == b""
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")
        await proxy.until_quiet()
        assert upstream.requests == []
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "malformed-request")]


SPLIT = {
    "two framings": (REFUSED["transfer-encoding on HTTP/1.0"][0], 400, "ambiguous-framing"),
    "two lengths": (UNREADABLE["two lengths"], 400, "malformed-request"),
    "two spaces before the target": (UNREADABLE["two spaces before the target"], 400, "malformed-request"),
    "RTSP": (UNREADABLE["RTSP"], 400, "malformed-request"),
    "an upgrade with a body": REFUSED["an upgrade with a body"],
    "a folded line": (UNREADABLE["a folded line"], 400, "malformed-request"),
}


@pytest.mark.parametrize(("data", "status", "reason"), SPLIT.values(), ids=SPLIT.keys())
async def test_where_packets_end_changes_nothing(data: bytes, status: int, reason: str) -> None:
    # The token in the middle is long and dull: its inside is left out.
    token_at = data.index(b"Bearer ") + 10
    token_end = data.index(b"\r\n", token_at) - 3
    places = [*range(1, token_at), *range(token_end, data.index(SMUGGLED) + 4)]
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        for place in places:
            await record_of_refused(proxy, upstream, data, status=status, reason=reason, splits=[place])


async def test_a_good_request_is_the_same_wherever_its_packets_end() -> None:
    body = b"3;name=value\r\nabc\r\n2\r\nde\r\n0\r\nX-Rolegate-Subject: mallory\r\n\r\n"
    data = request("POST", "/a?b=c", b"Transfer-Encoding: chunked", b"X-A:  b") + body
    token_at = data.index(b"Bearer ") + 10
    places = [*range(1, token_at), *range(data.index(b"\r\n", token_at) - 3, len(data))]
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            for place in places:
                await send_split(client, data, [place])
                assert (await client.read_response()).status == 200
            await send_split(client, data, range(1, len(data), 7))
            assert (await client.read_response()).status == 200
        for forwarded in upstream.requests:
            assert forwarded.startswith(b"POST /a?b=c HTTP/1.1\r\n")
            assert b"\r\nX-A: b\r\n" in forwarded
            assert b"mallory" not in forwarded
            assert unchunked(forwarded) == b"abcde"
        assert len(upstream.requests) == len(places) + 1


def unchunked(message: bytes) -> bytes:
    """Return the body of a message in plain chunks."""
    rest, body = message.partition(b"\r\n\r\n")[2], b""
    while (size := int((line := rest.partition(b"\r\n"))[0], 16)) > 0:
        body += line[2][:size]
        rest = line[2][size + 2 :]
    return body


async def test_a_trailer_is_merged_into_neither_request() -> None:
    trailers = b"Authorization: Bearer x\r\nX-Rolegate-Roles: admin\r\nHost: b\r\n"
    first = request("POST", "/1", b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n" + trailers + b"\r\n"
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(first + get("/2"))
            assert [(await client.read_response()).status for _ in range(2)] == [200, 200]
        assert len(upstream.requests) == 2
        for line in (b"admin", b"Bearer", b"Host: b\r\n"):
            assert line not in upstream.received


SPELLINGS = (
    b"X-Rolegate-Subject: mallory",
    b"x-rolegate-subject: mallory",
    b"X_Rolegate_Subject: mallory",
    b"X-Rolegate_Roles: mallory",
    b"X-ROLEGATE-ISSUER: mallory",
    b"X-Rolegate-Anything: mallory",
    b"X-Forwarded-For: 10.6.6.6, mallory",
    b"X-Forwarded-User: mallory",
    b"X_Forwarded_Host: mallory",
    b"Forwarded: for=mallory",
    b"X-Real-IP: mallory",
    b"X-Original-URL: /mallory",
    b"X-HTTP-Method-Override: mallory",
    b"X-Request-Id: mallory",
    b"Remote-User: mallory",
    b"Content_Length: 666, mallory",
    b"Transfer_Encoding: mallory",
    b"Proxy-Authorization: mallory",
    b"TE: mallory",
    b"Keep-Alive: mallory",
    b"Trailer: mallory",
)


async def test_what_only_we_may_say_is_stripped_in_every_spelling() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get("/", *SPELLINGS, *SPELLINGS))).status == 200
        forwarded = upstream.requests[0]
        assert b"mallory" not in forwarded
        assert forwarded.lower().count(b"x-rolegate-subject:") == 1
        assert b"\r\nX-Rolegate-Subject: service-7\r\n" in forwarded
        assert b"\r\nX-Rolegate-Roles: caller\r\n" in forwarded
        assert b"Bearer" not in forwarded


NOMINATED = (
    b"X-Rolegate-Subject",
    b"x-rolegate-subject, X-Rolegate-Roles, X-Rolegate-Issuer, X-Rolegate-Request-Id",
    b"Host, Authorization, traceparent, X-Forwarded-For, Content-Length, close, keep-alive",
)


@pytest.mark.parametrize("nominated", NOMINATED)
async def test_connection_cannot_take_our_headers_off_the_request(nominated: bytes) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            line = b"Connection: " + nominated
            assert (await client.request(request("POST", "/", line, body=b"abc"))).status == 200
        forwarded = upstream.requests[0]
        for name in (
            b"host",
            b"x-rolegate-subject",
            b"x-rolegate-roles",
            b"x-rolegate-issuer",
            b"x-rolegate-request-id",
            b"x-forwarded-for",
            b"traceparent",
            b"content-length",
        ):
            assert forwarded.lower().count(b"\r\n" + name + b":") == 1, name
        assert b"\r\nConnection:" not in forwarded


async def test_connection_takes_off_what_it_names() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.request(get("/", b"Connection: X-Hop", b"X-Hop: a", b"X_Hop: b", b"X-Far: c"))
        assert b"Hop" not in upstream.received
        assert b"\r\nX-Far: c\r\n" in upstream.received


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0", b"nothing-we-know"])
async def test_an_upgrade_is_answered_without_one_and_ends_the_connection(protocol: bytes) -> None:
    upgrade = get(
        "/", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + protocol, b"HTTP2-Settings: AAMA"
    )
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            response = await client.request(upgrade + SMUGGLED)
            assert (response.status, response.header("Connection")) == (200, "close")
            assert await client.read_to_end() == b""
        assert len(upstream.requests) == 1
        for word in (b"pgrade", b"HTTP2", b"smuggled"):
            assert word not in upstream.received
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "completed")]


async def test_a_request_in_the_body_of_a_refused_one_is_body() -> None:
    head = b"POST /refused HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED)
    hidden = head + SMUGGLED
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(hidden + get("/next"))
            assert [(await client.read_response()).status for _ in range(2)] == [401, 200]
        assert [line.split(b" ")[1] for line in upstream.requests] == [b"/next"]


async def test_what_comes_behind_a_refusal_that_ends_the_connection_is_not_served() -> None:
    """The body is announced and whole, but which of two framings is meant is not known."""
    first = REFUSED["transfer-encoding on HTTP/1.0"][0].removesuffix(SMUGGLED) + b"0\r\n\r\n"
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        await record_of_refused(proxy, upstream, first + SMUGGLED, status=400, reason="ambiguous-framing")


async def test_an_upstream_that_answers_early_never_gets_the_next_request_as_a_body() -> None:
    """It answers before the body that it was promised; its connection must not be used again."""

    async def hasty(connection: RecordedConnection) -> None:
        await connection.read()
        await connection.write(OK)
        while await connection.read():
            pass

    async with RecordingUpstream(hasty) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            head = request("POST", "/1", b"Content-Length: 400")
            assert (await client.request(head)).status == 200
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get("/2"))).status == 200
        assert len(upstream.connections) == 2
        assert upstream.connections[1].received.startswith(b"GET /2 ")
