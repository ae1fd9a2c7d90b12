import pytest

from proxy.wire import response as module
from proxy.wire.framing import Framing
from proxy.wire.response import (
    MAX_STATUS_LINES,
    closing_line,
    framing_line,
    is_plain_phrase,
    status_line,
)


@pytest.mark.parametrize(
    ("status", "phrase", "line"),
    [
        (200, b"OK", b"HTTP/1.1 200 OK\r\n"),
        (200, b"", b"HTTP/1.1 200 \r\n"),
        (404, b"Nicht da \xe4", b"HTTP/1.1 404 Nicht da \xe4\r\n"),
    ],
)
def test_the_status_line_is_the_upstreams_with_our_version(status: int, phrase: bytes, line: bytes) -> None:
    assert status_line(status, phrase) == line
    assert status_line(status, phrase) == line


@pytest.mark.parametrize(
    ("phrase", "is_plain"),
    [
        *((phrase, True) for phrase in (b"", b"OK", b"Not Found", b"a\tb", b"Nicht da \xe4", b"~!")),
        *((phrase, False) for phrase in (b"a\x00b", b"\x0b", b"\x1b[0m", b"a\rb", b"a\nb", b"\x7f")),
    ],
)
def test_a_phrase_holds_nothing_that_a_terminal_or_a_parser_obeys(phrase: bytes, is_plain: bool) -> None:
    assert is_plain_phrase(phrase) is is_plain


def test_an_upstream_that_invents_phrases_does_not_grow_the_memory() -> None:
    for number in range(3 * MAX_STATUS_LINES):
        status_line(200, b"phrase %d" % number)
    status_line(201, b"x" * 30_000)
    assert len(module._status_lines) <= MAX_STATUS_LINES
    assert (201, b"x" * 30_000) not in module._status_lines


@pytest.mark.parametrize(
    ("framing", "status", "content_length", "version", "line"),
    [
        (Framing.LENGTH, 200, 5, "1.1", b"Content-Length: 5\r\n"),
        (Framing.LENGTH, 200, 5, "1.0", b"Content-Length: 5\r\n"),
        (Framing.NONE, 200, 0, "1.1", b"Content-Length: 0\r\n"),
        (Framing.NONE, 200, 5, "1.1", b"Content-Length: 5\r\n"),  # to HEAD
        (Framing.NONE, 304, 5, "1.1", b"Content-Length: 5\r\n"),
        (Framing.NONE, 304, None, "1.1", b""),
        (Framing.NONE, 204, 5, "1.1", b""),
        (Framing.NONE, 204, None, "1.1", b""),
        (Framing.CHUNKED, 200, None, "1.1", b"Transfer-Encoding: chunked\r\n"),
        (Framing.CHUNKED, 200, None, "1.0", b""),
        (Framing.UNTIL_CLOSE, 200, None, "1.1", b"Transfer-Encoding: chunked\r\n"),
        (Framing.UNTIL_CLOSE, 200, None, "1.0", b""),
    ],
)
def test_a_body_is_framed_for_the_clients_version(
    framing: Framing, status: int, content_length: int | None, version: str, line: bytes
) -> None:
    assert framing_line(framing, status, content_length, version) == line


@pytest.mark.parametrize(
    ("version", "keep_alive", "line"),
    [
        ("1.1", True, b""),
        ("1.1", False, b"Connection: close\r\n"),
        ("1.0", True, b"Connection: keep-alive\r\n"),
        ("1.0", False, b"Connection: close\r\n"),
    ],
)
def test_the_connection_line_says_what_the_version_does_not(
    version: str, keep_alive: bool, line: bytes
) -> None:
    assert closing_line(version, keep_alive=keep_alive) == line
