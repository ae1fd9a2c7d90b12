"""One GET, one document: whatever the pieces it comes in, and nothing that does not end."""

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterable

import pytest

from proxy.asking import MAX_HEAD_BYTES, Answer, AnswerError, ask

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\nA: b\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\n\r\nbody"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


class Deaf:
    """A writer for what nobody reads."""

    def write(self, data: bytes) -> None: ...


def read(pieces: Iterable[bytes], *, max_bytes: int = 100, is_closed: bool = True) -> Answer:
    """Return what is made of an answer that comes in these pieces."""
    answer = Answer(max_bytes)
    for piece in pieces:
        answer.feed(piece)
        if answer.is_complete:
            return answer
    if is_closed:
        answer.end()
    return answer


@pytest.mark.parametrize(
    "said", [LENGTH, CHUNKED, UNTIL_CLOSE, INTERIM + LENGTH, INTERIM * 3 + CHUNKED, INTERIM + UNTIL_CLOSE]
)
def test_an_answer_is_the_same_wherever_it_is_cut(said: bytes) -> None:
    for cut in range(len(said) + 1):
        answer = read([said[:cut], said[cut:]])
        assert (answer.status, bytes(answer.body), answer.encoding) == (200, b"body", b"identity")
    assert bytes(read(said[at : at + 1] for at in range(len(said))).body) == b"body"


@pytest.mark.parametrize("said", [LENGTH, CHUNKED])
def test_no_beginning_of_an_answer_is_one(said: bytes) -> None:
    for cut in range(len(said)):
        with pytest.raises(AnswerError, match="closed before the answer was complete"):
            read([said[:cut]])


@pytest.mark.parametrize("said", [b"", b"HTTP/1.0 200 OK\r\nA: b\r\n", INTERIM, b"HTTP/1.1 200"])
def test_without_a_whole_head_the_end_is_no_answer(said: bytes) -> None:
    with pytest.raises(AnswerError, match="closed before the answer was complete"):
        read([said])


@pytest.mark.parametrize("status", [200, 204, 304, 404, 500])
@pytest.mark.parametrize(
    "behind",
    [
        b"more",
        LENGTH,
        CHUNKED,
        INTERIM,
        b"\r\n\r\n\x00",
        LENGTH.replace(b"OK", b"OK\r\nContent-Encoding: br"),
    ],
)
def test_what_follows_the_answer_is_not_of_it(behind: bytes, status: int) -> None:
    """Else a server could make a 200 of a 404."""
    said = LENGTH.replace(b"200", b"%d" % status)
    body = b"" if status in (204, 304) else b"body"
    answer = read([said + behind])
    assert (answer.status, bytes(answer.body), answer.encoding) == (status, body, b"identity")


def test_an_interim_response_leaves_nothing_behind() -> None:
    interim = INTERIM.replace(b"Link: </a>", b"Content-Encoding: br\r\nContent-Length: 7")
    answer = read([interim + LENGTH])
    assert (answer.status, bytes(answer.body), answer.encoding) == (200, b"body", b"identity")


async def test_an_answer_is_gone_without_a_search_for_cycles() -> None:
    """The serving process searches almost never, and an answer holds a whole document."""
    reader = asyncio.StreamReader()
    reader.feed_data(LENGTH)
    gc.disable()
    try:
        answer = await ask(reader, Deaf(), "host", "/", 100)  # type: ignore[arg-type]  # all that is asked of it
        known = weakref.ref(answer)
        del answer
        assert known() is None
        reader.feed_data(b"no HTTP\r\n\r\n")
        with pytest.raises(AnswerError):
            await ask(reader, Deaf(), "host", "/", 100)  # type: ignore[arg-type]  # as above
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-server\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nbytes",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
        b"HTTP/1.1 200 OK\nA: b\n\n",
    ],
)
def test_what_can_be_read_in_two_ways_is_no_answer(said: bytes) -> None:
    with pytest.raises(AnswerError, match="not valid HTTP"):
        read([said])


@pytest.mark.parametrize(("limit", "is_read"), [(3, False), (4, True), (5, True)])
@pytest.mark.parametrize("said", [LENGTH, CHUNKED, UNTIL_CLOSE])
def test_a_body_has_a_limit(said: bytes, limit: int, is_read: bool) -> None:
    if is_read:
        assert bytes(read([said], max_bytes=limit).body) == b"body"
    else:
        with pytest.raises(AnswerError, match="more than 3 bytes"):
            read([said], max_bytes=limit)


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nA: ", b"b" * 1000),
        (b"", INTERIM),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
    ],
)
def test_nothing_comes_without_end(start: bytes, again: bytes) -> None:
    answer, sent = Answer(100), len(start)
    with pytest.raises(AnswerError, match="the answer has no end"):  # noqa: PT012 - it ends in any of them
        answer.feed(start)
        while sent < 2 * MAX_HEAD_BYTES + 1000:
            answer.feed(again)
            sent += len(again)
    assert len(answer.body) <= 100


def test_the_coding_of_the_content_is_known_and_no_trailer_changes_it() -> None:
    twice = b"Content-Encoding: gzip\r\nContent-Encoding: identity\r\n"
    for line, encoding in [(b"", b"identity"), (b"Content-Encoding: GZIP \r\n", b"gzip"), (twice, b"gzip")]:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + line + b"\r\n"
        assert read([head + b"0\r\nContent-Encoding: br\r\n\r\n"]).encoding == encoding


async def test_what_is_asked_is_one_get_that_closes() -> None:
    asked: list[bytes] = []
    is_over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(LENGTH)
        await writer.drain()
        asked.append(await reader.read())
        writer.close()
        is_over.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        got = await ask(reader, writer, "keys.example:8443", "/d%2Fe?q=%41", 100)
        writer.close()
        await asyncio.wait_for(is_over.wait(), 5)
    assert bytes(got.body) == b"body"
    head, rest = asked
    assert rest == b""
    lines = head.decode().split("\r\n")
    assert lines[0] == "GET /d%2Fe?q=%41 HTTP/1.1"
    assert {line.partition(": ")[0]: line.partition(": ")[2] for line in lines[1:-2]} == {
        "Host": "keys.example:8443",
        "User-Agent": "rolegate",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


@pytest.mark.parametrize("part", ["proxy.cli.serve, proxy.assemble", "proxy.workers.supervisor"])
def test_what_serves_does_without_the_large_client(part: str) -> None:
    """It takes ten megabytes of each process, also where keys are fetched and workers asked."""
    program = f"import sys, {part}; print('aiohttp' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "False", run.stderr
