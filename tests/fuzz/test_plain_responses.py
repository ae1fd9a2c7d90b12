"""The short way of an everyday response tells the same as the parser, whatever comes before and behind it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.forward import connection as forwarding
from proxy.forward.connection import UpstreamConnection
from proxy.forward.pool import Pool
from proxy.tasks import TaskOwner
from proxy.wire.plain_response import read_plain
from tests.fuzz.answers import ENDPOINT, UPSTREAM, Answer
from tests.fuzz.budget import examples
from tests.fuzz.bytes_of import Bytes, damaged, mostly, one_of, pieces_of
from tests.fuzz.relay import Relaying, Written
from tests.fuzz.responses import RESPONSE
from tests.fuzz.wires import Wire
from tests.kit.clock import Clock


@dataclass
class Told:
    """What came of the requests on one connection: each answer, and what each client was sent."""

    answers: list[Answer] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)


Turn = tuple[str, Sequence[bytes], bool]
"""A request's method, the pieces in which its response comes, and whether it is sent whole before them."""


def told(turns: Sequence[Turn], *, is_short: bool) -> Told:
    """Return what comes of `turns` on one upstream connection, with or without the short way."""
    found, pool, wire = Told(), Pool(UPSTREAM, ENDPOINT, TaskOwner(), Clock()), Wire()
    connection = UpstreamConnection(pool)
    connection.connection_made(wire)
    with pytest.MonkeyPatch.context() as patch:
        if not is_short:
            patch.setattr(forwarding, "read_plain", lambda received: None)
        for method, pieces, is_sent_whole in turns:
            _ask(found, pool, connection, wire, method, pieces, is_sent_whole)
            if not found.answers[-1].is_reused:
                break
            pool._idle.clear()
    if not wire.is_closing():
        connection.connection_lost(None)
    return found


def _ask(
    found: Told,
    pool: Pool,
    connection: UpstreamConnection,
    wire: Wire,
    method: str,
    pieces: Sequence[bytes],
    is_sent_whole: bool,
) -> None:
    client = Written()
    receiver = Relaying(method, "1.1", client)
    connection.start(receiver)
    if is_sent_whole:
        connection.end_request()
    wire.feed(connection, pieces)
    receiver.answer.is_reused = pool.idle_count == 1
    found.answers.append(receiver.answer)
    found.written.append(bytes(client.written))


def assert_same(turns: Sequence[Turn]) -> None:
    """Raise `AssertionError` where the short way tells anything else than the parser."""
    short, long = told(turns, is_short=True), told(turns, is_short=False)
    for ours, theirs in zip(short.answers, long.answers, strict=False):
        # An empty line behind a response is nothing to the parser; the short way may be more careful.
        assert theirs.is_reused or not ours.is_reused, (ours, theirs, turns)
        ours.is_reused = theirs.is_reused
        assert ours == theirs, turns
    count = len(short.answers)
    assert count <= len(long.answers)
    assert short.written == long.written[:count], turns


LINES = [
    *(
        b"Server: x",
        b'ETag: "a"',
        b"X-Empty:",
        b"X-Tab:\ta",
        b"A: b ",
        b"A:b",
        b"A: \x80",
        b"Set-Cookie: a=b; c",
    ),
    *(b"Connection: keep-alive", b"Connection: Keep-Alive", b"Connection: KEEP-ALIVE", b"Connection: close"),
    *(
        b"Connection: close, etag",
        b"Connection: etag",
        b"connection: keep-alive, server",
        b"Connection: upgrade",
    ),
    *(b"Proxy-Connection: close", b"Proxy-Connection: keep-alive", b"proxy-connection: Close"),
    *(b"Keep-Alive: timeout=5", b"Upgrade: h2c", b"Trailer: X-T", b"X-Request-Id: 7", b"TE: trailers"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked"),
    *(b"Content_Length: 9", b"Content-Length: 3", b"Content-Length: 0", b"Proxy-Authenticate: Basic"),
    *(
        b" folded: a",
        b"\tfolded",
        b"A\x00: b",
        b"A: b\x00",
        b"A: b\rC: d",
        b"A: b\nC: d",
        b"no colon",
        b": a",
    ),
]
LENGTHS = [
    *(b"3", b"0", b"03", b"000", b"+3", b"-0", b"3 ", b" 3", b"\t3", b"3, 3", b"3,3", b"0x3", b"3_0", b"3.0"),
    *(
        b"1e1",
        b"",
        b"\xb2",
        b"0" * 14 + b"3",
        b"0" * 15 + b"3",
        b"0" * 19 + b"3",
        b"0" * 20 + b"3",
        b"9" * 15,
    ),
    *(b"9" * 16, b"18446744073709551615", b"18446744073709551616", b"18446744073709551619"),
]
STARTS = [
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 200 ", b"HTTP/1.1 200", b"HTTP/1.1 200 OK  "),
    *(b"HTTP/1.1 204 No Content", b"HTTP/1.1 205 Reset Content", b"HTTP/1.1 304 Not Modified"),
    *(b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Up", b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 599 x"),
    *(b"HTTP/1.1 600 x", b"HTTP/1.0 200 OK", b"HTTP/1.2 200 OK", b"ICE/1.1 200 OK", b"http/1.1 200 OK"),
    *(b"HTTP/1.1 200  OK", b"HTTP/1.1  200 OK", b"HTTP/1.1 200\tOK", b"HTTP/1.1 0200 OK"),
    *(b"HTTP/1.1 200 \xc3\xa4", b"HTTP/1.1 200 a\x00b", b"\r\nHTTP/1.1 200 OK"),
]
BODIES = [b"abc", b"", b"ab", b"abcd", b"abc\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"abcHTTP/1.1 200 OK\r\n"]


@st.composite
def everyday(draw: st.DrawFn) -> bytes:
    """Return a response that is plain but for one thing or two."""
    start = draw(mostly(one_of(STARTS[:2]), one_of(STARTS), one_in=3))
    lines = draw(st.lists(mostly(one_of(LINES[:2]), one_of(LINES), one_in=3), max_size=3))
    lines.insert(0, b"Content-Length: " + draw(mostly(one_of(LENGTHS[:2]), one_of(LENGTHS), one_in=3)))
    return b"".join(line + b"\r\n" for line in (start, *lines)) + b"\r\n" + draw(one_of(BODIES))


ANSWER: Bytes = mostly(damaged(everyday()), RESPONSE, one_in=8)


@st.composite
def turn(draw: st.DrawFn) -> Turn:
    """Return one request and the pieces of its response."""
    data = draw(ANSWER)
    pieces = [data] if draw(st.booleans()) else draw(pieces_of(data))
    method = draw(st.sampled_from(["GET", "GET", "POST", "HEAD"]))
    return method, pieces, draw(st.sampled_from([True, True, True, False]))


@pytest.mark.interpreted
@examples(500)
@given(st.lists(turn(), min_size=1, max_size=3))
def test_whatever_comes_the_short_way_tells_what_the_parser_tells(turns: list[Turn]) -> None:
    assert_same(turns)


@pytest.mark.interpreted
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("is_sent_whole", [True, False])
def test_every_hostile_piece_is_the_same_to_both(method: str, is_sent_whole: bool) -> None:
    """One odd thing at a time, behind and before an everyday response on the same connection."""
    plain = (b"HTTP/1.1 200 OK", b"Content-Length: 3", b"Server: x")
    heads: list[tuple[bytes, ...]] = [(start, *plain[1:]) for start in STARTS]
    heads += [(plain[0], b"Content-Length: " + length, plain[2]) for length in LENGTHS]
    heads += [(*plain, line) for line in LINES] + [(plain[0], line, *plain[1:]) for line in LINES]
    heads += [(plain[0], line) for line in LINES]
    everyday = b"".join(line + b"\r\n" for line in plain) + b"\r\nabc"
    for head in heads:
        for body in BODIES:
            odd = b"".join(line + b"\r\n" for line in head) + b"\r\n" + body
            before, behind = ("GET", [everyday], True), (method, [odd], is_sent_whole)
            assert_same([before, behind, before])


@pytest.mark.interpreted
@pytest.mark.parametrize("length", [b"3", b"0", b"03", b"5"])
@pytest.mark.parametrize("behind", [b"", b"x", b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_everyday_response_is_the_same_split_at_every_two_places(length: bytes, behind: bytes) -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\nA: b\r\n\r\nabc" + behind
    for first in range(len(data) + 1):
        for second in (first, first + 1, len(data) - 2):
            pieces = [data[:first], data[first : max(first, second)], data[max(first, second) :]]
            assert_same([("GET", pieces, True)])


@pytest.mark.interpreted
def test_both_ways_are_taken() -> None:
    """Or the comparisons would compare nothing."""
    (answer,) = told(
        [("GET", [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"], True)], is_short=True
    ).answers
    assert (answer.body, answer.is_reused) == (b"a", True)
    assert read_plain(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na") is not None
