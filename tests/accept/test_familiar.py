"""Header lines that come again are not read again, and mean the same; anything else is read."""

import asyncio
from dataclasses import replace

import pytest

from proxy.accept.familiar import Familiar, familiar
from proxy.model.decision import Reason
from proxy.model.peer import Peer
from proxy.wire.headers import RequestHeaders
from proxy.wire.reading import HeaderBlock
from tests.accept.exchanges import OK, listening
from tests.kit.local_proxy import HOST, LocalProxy, bearer, get, until
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient

LINES = b"Host: b\r\nAccept: */*\r\n\r\n"
HEADERS = [(b"Host", b"b"), (b"Accept", b"*/*")]


def known() -> Familiar:
    found = familiar(b"GET /a HTTP/1.1\r\n" + LINES, HEADERS, block())
    assert found is not None
    return found


def block() -> HeaderBlock:
    return HeaderBlock("1.1", HEADERS, RequestHeaders(), Peer(address="127.0.0.1"), ())


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
def test_the_same_lines_behind_another_request_line_are_recognised(method: str) -> None:
    received = f"{method} /b?c=d HTTP/1.1\r\n".encode() + LINES
    assert known().request_line(received, 100) == (method, b"/b?c=d")


def test_the_same_request_line_again_says_the_same_until_another_comes() -> None:
    lines = known()
    for target in (b"/a", b"/a", b"/b", b"/a"):
        for _ in range(2):
            assert lines.request_line(b"GET %b HTTP/1.1\r\n%b" % (target, LINES), 100) == ("GET", target)
        for _ in range(2):
            assert lines.request_line(b"GET %b HTTP/1.0\r\n%b" % (target, LINES), 100) is None
    assert lines.request_line(b"GET /a HTTP/1.1\r\n" + LINES, 2) == ("GET", b"/a")
    assert lines.request_line(b"GET /a HTTP/1.1\r\n" + LINES, 1) is None


@pytest.mark.parametrize(
    "received",
    [
        b"POST /a HTTP/1.1\r\n" + LINES,
        b"PROPFIND /a HTTP/1.1\r\n" + LINES,
        b"get /a HTTP/1.1\r\n" + LINES,
        b"GET  /a HTTP/1.1\r\n" + LINES,
        b"GET /a  HTTP/1.1\r\n" + LINES,
        b"GET /a HTTP/1.0\r\n" + LINES,
        b"GET /a RTSP/1.1\r\n" + LINES,
        b"GET /a#b HTTP/1.1\r\n" + LINES,
        b"GET /a\x80 HTTP/1.1\r\n" + LINES,
        b"GET http://b/a HTTP/1.1\r\n" + LINES,
        b"\r\nGET /a HTTP/1.1\r\n" + LINES,
        b"GET /a HTTP/1.1\r\nX: y\r\n" + LINES,
        b"GET /a HTTP/1.1\n" + LINES,
        b"GET /a HTTP/1.1\r\n" + LINES.replace(b"Host: b", b"Host: c"),
        b"GET /a HTTP/1.1\r\n" + LINES + b"x",
        b"GET /a HTTP/1.1\r\n" + LINES[:-1],
        b"GET /a HTTP/1.1\r\n" + LINES + b"GET /a HTTP/1.1\r\n" + LINES,
        LINES,
    ],
)
def test_anything_else_goes_to_the_parser(received: bytes) -> None:
    assert known().request_line(received, 100) is None


@pytest.mark.parametrize(("limit", "is_known"), [(2, True), (1, False)])
def test_a_target_above_the_limit_goes_to_the_parser(limit: int, is_known: bool) -> None:
    assert (known().request_line(b"GET /a HTTP/1.1\r\n" + LINES, limit) is not None) is is_known


@pytest.mark.parametrize(
    "received",
    [
        b"GET /a HTTP/1.1\r\n" + LINES + b"G",
        b"GET /a HTTP/1.1\r\n" + LINES + b"GET /a HTTP/1.1\r\n" + LINES,
        b"\r\nGET /a HTTP/1.1\r\n" + LINES,
        b"\n" * 20 + b"GET /a HTTP/1.1\r\n" + LINES,
        b"\n" * 20 + b"\r\nGET /a HTTP/1.1\r\n" + LINES,
        b"\r" * 20 + b"\nGET /a HTTP/1.1\r\n" + LINES,
    ],
)
def test_only_the_lines_of_one_whole_request_are_remembered(received: bytes) -> None:
    assert familiar(received, HEADERS, block()) is None


async def test_what_was_read_serves_the_next_request() -> None:
    async with listening() as (_, exchanges, port, _), ScriptedClient(port) as client:
        exchanges.block = block()
        for target in (b"/a", b"/b", b"/c"):
            assert (await client.request(b"GET " + target + b" HTTP/1.1\r\n" + LINES)).status == 200
        assert [told.events for told in exchanges.all] == [
            [("GET", target, True), "end"] for target in (b"/a", b"/b", b"/c")
        ]
        assert [told.familiar for told in exchanges.all] == [None, exchanges.block, exchanges.block]


async def test_a_body_that_looks_like_a_familiar_request_is_a_body() -> None:
    request = b"GET /a HTTP/1.1\r\n" + LINES
    async with listening() as (_, exchanges, port, _), ScriptedClient(port) as client:
        exchanges.block = block()
        assert (await client.request(request)).status == 200
        exchanges.block = None
        await client.send(b"POST /p HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n" % len(request))
        await until(lambda: len(exchanges.all) == 2, what="the head")
        await client.send(request)
        assert (await client.read_response()).status == 200
        assert exchanges.all[1].events == [("POST", b"/p", True), request, "end"]


async def test_a_request_line_behind_empty_lines_is_not_remembered_as_a_header_line() -> None:
    """Or the next request could have a header line that is none, and that the parser refuses."""
    request = b"GET /a HTTP/1.1\r\n" + LINES
    async with listening() as (_, exchanges, port, _), ScriptedClient(port) as client:
        exchanges.block = block()
        assert (await client.request(b"\n" * 20 + b"\r\n" + request)).status == 200
        await client.send(b"GET /b HTTP/1.1\r\n" + request)
        await client.read_response()
        assert exchanges.all[1].events == [(Reason.MALFORMED_REQUEST, b"/b")]


@pytest.mark.parametrize("limit", [10, 100_000])
async def test_a_connection_keeps_the_limits_that_it_began_with(limit: int) -> None:
    """The parser does, and what it would refuse is not let in by lines that came before."""
    async with listening() as (listener, exchanges, port, _), ScriptedClient(port) as client:
        exchanges.block = block()
        assert (await client.request(b"GET /a HTTP/1.1\r\n" + LINES)).status == 200
        listener.limits = replace(listener.limits, max_target_bytes=limit)
        for target in (b"/" + b"b" * 99, b"/" + b"c" * 100):
            await client.request(b"GET " + target + b" HTTP/1.1\r\n" + LINES)
        assert exchanges.all[1].events == [("GET", b"/" + b"b" * 99, True), "end"]
        assert exchanges.all[1].familiar is exchanges.block
        assert exchanges.all[2].events == [(Reason.TARGET_TOO_LONG, b"/" + b"c" * 100)]


async def test_what_comes_ahead_of_its_turn_waits() -> None:
    request = b"GET /a HTTP/1.1\r\n" + LINES
    async with listening() as (_, exchanges, port, _), ScriptedClient(port) as client:
        exchanges.block = block()
        assert (await client.request(request)).status == 200
        exchanges.answers = False
        await client.send(request)
        await until(lambda: len(exchanges.all) == 2, what="the second request")
        await client.send(request)
        await asyncio.sleep(0.05)
        assert len(exchanges.all) == 2
        exchanges.answers = True
        exchanges.all[1].finish(keep_alive=True)
        assert (await client.reader.readexactly(2 * len(OK))) == 2 * OK


async def test_the_lines_that_were_read_last_are_the_ones_that_count() -> None:
    """Two identities take turns on one connection; each request goes out under its own."""
    turns = ["service-a", "service-b", "service-b", "service-a", "service-a"]
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        for number, subject in enumerate(turns):
            assert (await client.request(get(f"/{number}", subject=subject))).status == 200
        for number, (subject, request) in enumerate(zip(turns, upstream.requests, strict=True)):
            assert request.startswith(b"GET /%d HTTP/1.1\r\n" % number)
            assert b"\r\nX-Rolegate-Subject: %b\r\n" % subject.encode() in request
        ids = [record["request_id"] for record in proxy.records("decision")]
        assert len(set(ids)) == len(turns)
        assert [record["subject"] for record in proxy.records("decision")] == turns


async def test_a_familiar_request_is_refused_as_any_other() -> None:
    anonymous = f"GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            for _ in range(3):
                assert (await client.request(anonymous)).status == 401
            assert (await client.request(anonymous.replace(b"/a", b"/%2e%2e/a"))).status == 400
        assert upstream.byte_count == 0
        assert proxy.reasons == [("decision", "credential-missing")] * 3 + [("decision", "ambiguous-path")]
        assert {record["host"] for record in proxy.records()} == {HOST}


async def test_a_token_that_ends_ends_for_a_familiar_request_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(get("/a"))).status == 200
        assert (await client.request(get("/b"))).status == 200
        monkeypatch.setattr("proxy.pipeline.time", lambda: 2.0**33)
        assert (await client.request(get("/c"))).status == 401
        assert len(upstream.requests) == 2


async def test_keys_that_are_withdrawn_are_withdrawn_for_a_familiar_request_too() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(get("/a"))).status == 200
        hits = proxy.proxy.cache.hits
        assert (await client.request(get("/b"))).status == 200
        assert proxy.proxy.cache.hits == hits + 1
        misses = proxy.proxy.cache.misses
        proxy.proxy.resolver._forget("idp")
        assert (await client.request(get("/c"))).status == 200
        assert proxy.proxy.cache.misses == misses + 1


@pytest.mark.interpreted
async def test_a_new_configuration_reads_familiar_lines_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        lines = b"Host: %b\r\n%bX-Team: red\r\n\r\n" % (HOST.encode(), bearer())
        assert (await client.request(b"GET /a HTTP/1.1\r\n" + lines)).status == 200
        holder = proxy.proxy.environment.holder
        holder.swap(replace(holder.current, request_headers=RequestHeaders((b"X-Team",))))
        assert (await client.request(b"GET /b HTTP/1.1\r\n" + lines)).status == 200
        assert [b"X-Team" in request for request in upstream.requests] == [True, False]
        read_again: list[object] = []
        monkeypatch.setattr("proxy.pipeline.HeaderBlock", lambda *arguments: read_again.append(arguments))
        assert (await client.request(b"GET /c HTTP/1.1\r\n" + lines)).status == 200
        assert read_again == []  # but only once
