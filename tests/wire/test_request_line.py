"""The request line has one form."""

import pytest

from proxy.wire.request_line import UNKNOWN, is_plain, next_start

PLAIN = b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n"

STRANGE = (
    b"GET  /a HTTP/1.1\r\n",
    b"GET   /a HTTP/1.1\r\n",
    b"GET /a  HTTP/1.1\r\n",
    b"GET /a RTSP/1.1\r\n",
    b"GET /a ICE/1.1\r\n",
)


@pytest.mark.parametrize("before", [b"", b"\r\n", b"\n\r\n\r\n"])
def test_the_plain_line_is_found_at_its_place(before: bytes) -> None:
    assert is_plain(before + PLAIN, 0, b"GET", b"/a", "1.1")
    assert is_plain(PLAIN + before + PLAIN, len(PLAIN), b"GET", b"/a", "1.1")
    assert is_plain(bytearray(before + PLAIN), 0, b"GET", b"/a", "1.1")


@pytest.mark.parametrize("line", STRANGE)
@pytest.mark.parametrize("behind", [b"", b"X: GET /a HTTP/1.1\r\n", b"\r\n" + PLAIN])
def test_another_spelling_is_not_plain_whatever_stands_around_it(line: bytes, behind: bytes) -> None:
    assert not is_plain(line + behind, 0, b"GET", b"/a", "1.1")
    assert not is_plain(PLAIN + line + behind, len(PLAIN), b"GET", b"/a", "1.1")
    assert not is_plain(b"body" + line + behind, UNKNOWN, b"GET", b"/a", "1.1")
    assert not is_plain(PLAIN + line + behind, UNKNOWN, b"GET", b"/a", "1.1")


def test_behind_a_body_the_plain_line_is_enough_if_nothing_looks_strange() -> None:
    assert is_plain(b"body" + PLAIN, UNKNOWN, b"GET", b"/a", "1.1")
    assert not is_plain(b"body", UNKNOWN, b"GET", b"/a", "1.1")


@pytest.mark.parametrize("before", [b"", b"\r\n\r\n"])
def test_the_next_request_begins_behind_the_empty_line(before: bytes) -> None:
    assert next_start(before + PLAIN + PLAIN, 0) == len(before + PLAIN)
    assert next_start(PLAIN + before + PLAIN + PLAIN, len(PLAIN)) == len(PLAIN + before + PLAIN)
