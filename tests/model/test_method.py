"""The methods that can be configured are those that the parser reads."""

import httptools
import pytest

from proxy.model.method import COMMON_METHODS, READABLE_METHODS

# Of other protocols that llhttp speaks, and of HTTP/2.
FOREIGN = (
    "DESCRIBE",
    "ANNOUNCE",
    "SETUP",
    "PLAY",
    "PAUSE",
    "TEARDOWN",
    "GET_PARAMETER",
    "RECORD",
    "FLUSH",
    "PRI",
)


class Seen:
    is_whole = False

    def on_message_complete(self) -> None:
        self.is_whole = True


def is_read(method: str) -> bool:
    seen = Seen()
    try:
        httptools.HttpRequestParser(seen).feed_data(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    except httptools.HttpParserError:
        return False
    return seen.is_whole


@pytest.mark.parametrize("method", sorted(READABLE_METHODS))
def test_every_method_that_can_be_named_is_read(method: str) -> None:
    assert is_read(method)


@pytest.mark.parametrize("method", [*FOREIGN, "FOO", "GETS", "get", "RUN"])
def test_no_other_method_is_read(method: str) -> None:
    assert not is_read(method)
    assert method not in READABLE_METHODS


def test_what_is_never_forwarded_is_not_among_them() -> None:
    assert COMMON_METHODS < READABLE_METHODS
    assert READABLE_METHODS.isdisjoint({"TRACE", "CONNECT"})
