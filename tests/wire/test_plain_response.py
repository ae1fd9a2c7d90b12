"""The short way of an everyday response: what it takes, the parser reads the same way."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire import plain_response
from proxy.wire.plain_response import MAX_KNOWN_HEADS, MAX_PLAIN_BYTES, MAX_PLAIN_LINES, read_plain

HEAD = b'HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\nConnection: keep-alive\r\nETag: "a"\r\n\r\n'


def test_an_everyday_head_is_read() -> None:
    head = read_plain(HEAD + b"ok")
    assert head is not None
    assert (head.status, head.phrase, head.content_length) == (200, b"OK", 2)
    assert head.lines == [b'Server: x\r\nETag: "a"\r\n']
    assert head.size == len(HEAD)


@pytest.mark.parametrize(
    "line",
    [
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Proxy-Connection: close",
        b"Connection: x-secret",
        b"Upgrade: websocket",
        b"Trailer: a",
        b"Content-Length: 2",
        b"Content-Length: +2",
        b"Content-Length : 2",
        b"content-length: 0x2",
        b" folded: a",
        b"Empty:",
        b"A:b",
        b"A: b ",
        b"A: b\0",
        b"A: b\rB: c",
        b"A: b\nB: c",
        b"A\t: b",
        "A: ü".encode(),
        b"no colon",
        b"",
    ],
)
def test_what_is_not_plain_is_left_to_the_parser(line: bytes) -> None:
    assert read_plain(HEAD.replace(b"Server: x", line)) is None


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 101 Switching Protocols",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 304 Not Modified",
        b"HTTP/1.1 600 What",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 200",
        b"http/1.1 200 OK",
        b"ICE/1.1 200 OK",
        b"\r\nHTTP/1.1 200 OK",
    ],
)
def test_status_lines_out_of_the_ordinary_are_left_to_the_parser(start: bytes) -> None:
    assert read_plain(HEAD.replace(b"HTTP/1.1 200 OK", start)) is None


def test_without_a_length_there_is_no_short_way() -> None:
    assert read_plain(HEAD.replace(b"Content-Length: 2\r\n", b"")) is None


@pytest.mark.parametrize("end", range(len(HEAD)))
def test_a_head_that_has_not_come_whole_is_left_to_the_parser(end: int) -> None:
    assert read_plain(HEAD[:end]) is None


@pytest.mark.parametrize(("more", "is_read"), [(0, True), (1, False)])
def test_a_long_head_is_left_to_the_parser(more: int, is_read: bool) -> None:
    padding = MAX_PLAIN_BYTES - len(HEAD) - len(b"A: \r\n") + more
    head = HEAD.replace(b"Server: x", b"Server: x\r\nA: " + b"a" * padding)
    assert (read_plain(head) is not None) is is_read


@pytest.mark.parametrize(("count", "is_read"), [(MAX_PLAIN_LINES, True), (MAX_PLAIN_LINES + 1, False)])
def test_a_head_of_many_lines_is_left_to_the_parser(count: int, is_read: bool) -> None:
    lines = [b"Content-Length: 0", *(b"A: %d" % number for number in range(count - 1))]
    head = b"".join(line + b"\r\n" for line in (b"HTTP/1.1 200 OK", *lines)) + b"\r\n"
    assert (read_plain(head) is not None) is is_read


def test_what_is_remembered_is_bounded() -> None:
    for number in range(3 * MAX_KNOWN_HEADS):
        assert read_plain(HEAD.replace(b'"a"', b'"%d"' % number)) is not None
    assert len(plain_response._known_heads) <= MAX_KNOWN_HEADS
    assert len(plain_response._known_lines) <= plain_response.MAX_KNOWN_LINES


LINES = st.sampled_from(
    [
        *(b"Content-Length: 3", b"content-length: 3", b"Content-Length: 03", b"Content-Length: 3, 3"),
        *(b"Connection: Keep-Alive", b"Connection: close", b"Keep-Alive: timeout=5", b"X-Request-Id: 7"),
        *(b"Transfer-Encoding: chunked", b"Set-Cookie: a=b; c", b"Date: now", b"A: b:c", b"A:b", b"B: c\t"),
        *(b"A: \x80", b"A: \xc3\xbc"),
    ]
)
STATUSES = st.sampled_from(
    [b"200 OK", b"404 Not Found", b"500 ", b"204 No", b"304 No", b"101 Up", b"299 a  b"]
)


class Oracle:
    """Notes what llhttp reads."""

    def __init__(self) -> None:
        self.lines: list[tuple[bytes, bytes]] = []
        self.phrase = b""
        self.body = b""
        self.parser = httptools.HttpResponseParser(self)
        self.is_complete = False

    def on_status(self, phrase: bytes) -> None:
        self.phrase += phrase

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name, value))

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.is_complete = self.parser.should_keep_alive()


@given(status=STATUSES, lines=st.lists(LINES, max_size=6), junk=st.binary(max_size=3), at=st.integers(0, 200))
def test_what_is_read_the_parser_reads_the_same(
    status: bytes, lines: list[bytes], junk: bytes, at: int
) -> None:
    head = b"".join(line + b"\r\n" for line in (b"HTTP/1.1 " + status, *lines)) + b"\r\n"
    head = head[:at] + junk + head[at:]
    found = read_plain(head)
    if found is None:
        return
    oracle = Oracle()
    oracle.parser.feed_data(head[: found.size] + b"x" * found.content_length)
    assert oracle.is_complete
    assert (oracle.parser.get_status_code(), oracle.phrase) == (found.status, found.phrase)
    assert oracle.body == b"x" * found.content_length
    dropped = {b"content-length", b"connection", b"keep-alive", b"x-request-id"}
    kept = [line for line in oracle.lines if line[0].lower() not in dropped]
    assert found.lines == [b"".join(b"%b: %b\r\n" % line for line in kept)]
