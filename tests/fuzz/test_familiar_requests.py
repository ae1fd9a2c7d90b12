"""
Header lines that come again, through the whole proxy, with the short way and without.

The upstream, the client and the audit records are told the same, whatever the request line is, whatever
comes behind the head, and whoever takes turns on the connection.
"""

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.accept import client as accepting
from proxy.accept.client import ClientConnection
from proxy.accept.reading import Problem, RequestReader
from proxy.model.peer import Peer
from proxy.wire.headers import RequestHeaders
from tests.fuzz.budget import examples
from tests.fuzz.bytes_of import Bytes, damaged, mostly, one_of, pieces_of
from tests.fuzz.requests import EMPTY_LINES, METHOD, REQUEST, TARGET, VERSION
from tests.fuzz.wires import Wire
from tests.fuzz.world import World
from tests.kit.local_proxy import HOST, Record, bearer

PEER = Peer(address="10.0.0.9")
MAX_TARGET_BYTES = 256
MAX_REQUESTS = 6

# What is new in each request: ids, and the traceparent that is made of them.
ANEW = re.compile(rb"(?i)(?<=x-request-id: )[^\r]+")
IDS = {b"x-rolegate-request-id", b"traceparent"}
IDS_IN_RECORDS = {"time", "seq", "prev", "hash", "request_id", "duration_ms"}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    listen = {
        "max_target_bytes": MAX_TARGET_BYTES,
        "max_requests_per_connection": MAX_REQUESTS,
        "trusted_proxies": ["10.0.0.0/8"],
    }
    with World(listen=listen) as world:
        yield world


@dataclass
class Told:
    """What a conversation came to, without what is new each time."""

    seen: list[object] = field(default_factory=list)
    written: bytes = b""
    has_ended: bool = False
    records: list[Record] = field(default_factory=list)


def told(world: World, pieces: Sequence[bytes], *, is_short: bool, swap_before: int = -9) -> Told:
    """
    Return what comes of `pieces`, each of them one read.

    Before the one numbered `swap_before` a new configuration comes, which strips `X-Team`, and before the
    next another one, which trusts nobody.
    """
    wire, proxy = Wire(), world.proxy.proxy
    known_bytes = world.proxy.audit_path.stat().st_size
    holder, ended = proxy.environment.holder, []

    async def talk() -> None:
        connection = ClientConnection(proxy.listener, lambda transport: PEER)
        connection.connection_made(wire)
        for number, piece in enumerate(pieces):
            if number == swap_before:
                rules = RequestHeaders((b"X-Team", b"X-Rolegate-Subject"))
                holder.swap(replace(holder.current, request_headers=rules))
            elif number == swap_before + 1:
                holder.swap(replace(holder.current, trusted_proxies=()))
            wire.feed(connection, [piece])
            await _quiet(world, connection)
        ended.append(wire.has_ended or wire.is_closing())
        connection.connection_lost(None)

    live = holder.current
    with pytest.MonkeyPatch.context() as patch:
        if not is_short:
            patch.setattr(accepting, "familiar", lambda received, headers, block: None)
        world.run(talk())
    holder.swap(live)
    return Told(
        seen=[(one.method, one.target, _without_ids(one.headers), one.body) for one in world.seen],
        written=ANEW.sub(b"", re.sub(rb'"request_id":"[^"]+"', b"", bytes(wire.written))),
        has_ended=ended[0],
        records=[
            {name: value for name, value in record.items() if name not in IDS_IN_RECORDS}
            for record in map(json.loads, world.proxy.audit_path.read_bytes()[known_bytes:].splitlines())
        ],
    )


async def _quiet(world: World, connection: ClientConnection) -> None:
    """Return when what was sent is answered, or when more has to come before it can be."""
    while world.proxy.in_flight and not connection._reader.is_busy:  # noqa: ASYNC110 - nobody sets an event
        await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)


def _without_ids(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, b"" if name in IDS else value) for name, value in headers]


HOST_LINE = b"Host: " + HOST.encode() + b"\r\n"
BLOCKS = [
    HOST_LINE + bearer("service-a") + b"X-Team: red\r\nX-Forwarded-For: 192.0.2.1\r\n",
    HOST_LINE + bearer("service-b") + b"Accept: */*\r\n",
    HOST_LINE,
    *(
        HOST_LINE + bearer("service-a") + line + b"\r\n"
        for line in (
            *(b"Connection: close", b"Connection: keep-alive, X-Team\r\nX-Team: red"),
            *(b"Connection: keep-alive", b"Connection: upgrade\r\nUpgrade: websocket", b"Upgrade: websocket"),
            *(b"Proxy-Connection: close", b"Expect: 100-continue", b"Expect: nothing", b"Content-Length: 0"),
            *(b"Content-Length: 3", b"Transfer-Encoding: chunked", b"TE: trailers", b"X-Empty:", b"X: \xff"),
            *(b"X-Forwarded-For: 192.0.2.1, 10.1.1.1", b"Authorization: Bearer x.y.z", b"GET / HTTP/1.1"),
            *(b"Host: other.example.com", b"X_Rolegate_Subject: a"),
            b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01",
        )
    ),
    b"Host: a.example\r\nAuthorization: Bearer x.y.z\r\n",
]  # fmt: skip
LONG = [b"/" + b"a" * (MAX_TARGET_BYTES - 1 + more) for more in (-1, 0, 1)]
BEHIND = one_of([b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"\r\n", b"\x00", b"G", b"GET / HTTP/1.1\r\n"])


@st.composite
def a_request(draw: st.DrawFn) -> bytes:
    """Return one read: a request, mostly with the lines of one before, perhaps with more behind it."""
    line = [
        draw(
            mostly(st.just(b""), st.one_of(EMPTY_LINES, one_of([b"\n" * 20, b"\n" * 20 + b"\r\n"])), one_in=8)
        ),
        draw(mostly(one_of([b"GET", b"HEAD", b"OPTIONS", b"DELETE"]), METHOD, one_in=6)),
        draw(mostly(st.just(b" "), one_of([b"  ", b"\t"]), one_in=30)),
        draw(mostly(one_of([b"/a", b"/b?c=d", *LONG, b"/public/x", b"/a%2Fb"]), TARGET, one_in=4)),
        draw(mostly(st.just(b" "), one_of([b"  ", b"\t"]), one_in=30)),
        draw(mostly(st.just(b"HTTP/1.1"), VERSION, one_in=8)),
        draw(mostly(st.just(b"\r\n"), one_of([b"\n", b"\r", b"", b"\r\r\n"]), one_in=40)),
    ]
    block = draw(mostly(one_of(BLOCKS[:2]), one_of(BLOCKS), one_in=4))
    return b"".join(line) + block + b"\r\n" + draw(mostly(st.just(b""), st.one_of(BEHIND, REQUEST), one_in=8))


READ: Bytes = damaged(a_request())


@st.composite
def reads(draw: st.DrawFn) -> list[bytes]:
    """Return what one client sends, read by read."""
    first = b"GET /first HTTP/1.1\r\n" + draw(one_of(BLOCKS)) + b"\r\n"
    found = [first]
    for data in draw(st.lists(READ, min_size=1, max_size=MAX_REQUESTS)):
        found += draw(mostly(st.just([data]), pieces_of(data), one_in=8))  # type: ignore[arg-type]  # lists of bytes
    return [piece for piece in found if piece]


@pytest.mark.interpreted
@examples(120)
@given(reads(), st.integers(-6, 3))
def test_everybody_is_told_the_same_as_by_the_parser(
    world: World, pieces: list[bytes], swap_before: int
) -> None:
    short = told(world, pieces, is_short=True, swap_before=swap_before)
    assert world.problems == []
    assert short == told(world, pieces, is_short=False, swap_before=swap_before)


@pytest.mark.interpreted
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_kind_of_lines_means_the_same_the_second_time(
    world: World, block: bytes, version: bytes
) -> None:
    """To the last request of the connection and beyond, behind one in this version, each with its body."""
    start = b"GET /first HTTP/" + version + b"\r\n" + block + b"\r\n"
    heads = [b"GET /%d HTTP/1.1\r\n" % number + block + b"\r\n" for number in range(MAX_REQUESTS)]
    long = [b"GET " + target + b" HTTP/1.1\r\n" + block + b"\r\n" for target in LONG]
    ways = [(heads, body, -9) for body in (b"abc", b"3\r\nabc\r\n0\r\n\r\n")]
    for following, body, swap_before in (*ways, (heads, b"", 2), (long, b"", -9)):
        pieces = [piece for head in (start, *following) for piece in (head, body) if piece]
        short = told(world, pieces, is_short=True, swap_before=swap_before)
        assert short == told(world, pieces, is_short=False, swap_before=swap_before)
        assert short.records


@pytest.mark.interpreted
def test_the_short_way_is_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the comparisons would compare nothing."""
    fed: list[bytes] = []
    feed = RequestReader.feed

    def noted(reader: RequestReader, data: bytes) -> Problem | None:
        fed.append(data)
        return feed(reader, data)

    monkeypatch.setattr(RequestReader, "feed", noted)
    pieces = [b"GET /%d HTTP/1.1\r\n" % number + BLOCKS[0] + b"\r\n" for number in range(3)]
    short = told(world, pieces, is_short=True)
    assert fed == pieces[:1]
    assert len(short.seen) == len(pieces)
