"""Requests out of bytes: what is told, in which order, and what stops the reading."""

import pytest

from proxy.accept.limits import Limits
from proxy.accept.reading import MAX_AHEAD_BYTES, Problem, RequestReader
from proxy.model.decision import Reason
from proxy.model.request import Headers

LIMITS = Limits(
    max_connections=10,
    max_header_bytes=1000,
    max_header_count=10,
    max_target_bytes=100,
    headers_timeout_s=1,
    body_idle_timeout_s=1,
    keep_alive_timeout_s=1,
    write_idle_timeout_s=1,
)


class Notes:
    """Writes down what it is told; `fault` is raised instead of taking a head."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.events: list[object] = []
        self.fault = fault

    def head(self, method: str, target: bytes, version: str, headers: Headers, keep_alive: bool) -> None:
        if self.fault is not None:
            raise self.fault
        self.events.append((method, target, version, headers, keep_alive))

    def body(self, data: bytes) -> None:
        self.events.append(data)

    def trailer(self, name: bytes, value: bytes) -> None:
        self.events.append((name, value))

    def end(self) -> None:
        self.events.append("end")


def read(*pieces: bytes) -> tuple[list[object], Problem | None]:
    """Return what is told of `pieces`, and the problem that stopped the reading."""
    notes = Notes()
    reader = RequestReader(LIMITS, notes)
    for piece in pieces:
        problem = reader.feed(piece)
        if problem is not None:
            return notes.events, problem
    return notes.events, None


GET = b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n"
GET_EVENTS = [("GET", b"/a", "1.1", [(b"Host", b"b")], True), "end"]


@pytest.mark.parametrize("place", range(len(GET) + 1))
def test_a_request_is_told_the_same_wherever_it_is_split(place: int) -> None:
    assert read(GET[:place], GET[place:]) == (GET_EVENTS, None)
    assert read(b"\r\n" + GET + GET[:place], GET[place:]) == (GET_EVENTS * 2, None)


def test_byte_by_byte() -> None:
    assert read(*[bytes([octet]) for octet in GET * 3]) == (GET_EVENTS * 3, None)


def test_a_body_is_told_piece_by_piece_and_a_trailer_behind_it() -> None:
    head = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    events, problem = read(head + b"1\r\na\r\n", b"2\r\nbc\r\n0\r\nX-T: v\r\n\r\n" + GET)
    assert problem is None
    assert events[1:] == [b"a", b"bc", (b"X-T", b"v"), "end", *GET_EVENTS]


def test_an_upgrade_is_told_as_the_last_request() -> None:
    events, problem = read(b"GET /a HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + GET)
    assert problem is not None
    assert [event[-1] if isinstance(event, tuple) else event for event in events] == [False, "end"]


UPGRADE = b"GET /a HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n"


@pytest.mark.parametrize("place", [1, len(UPGRADE) - 1, len(UPGRADE), len(UPGRADE) + 2])
def test_what_comes_behind_an_upgrade_is_kept_and_not_read(place: int) -> None:
    reader = RequestReader(LIMITS, Notes())
    data = UPGRADE + GET
    problem = reader.feed(data[:place])
    if problem is None:
        assert reader.ahead == (bytearray() if place >= len(UPGRADE) else None)
        problem = reader.feed(data[place:])
        assert reader.ahead == bytearray(GET)
    else:
        assert reader.ahead == bytearray(data[len(UPGRADE) : place])
    assert problem is not None


def test_what_is_kept_ahead_has_a_limit() -> None:
    reader = RequestReader(LIMITS, Notes())
    assert not reader.keep_ahead(b"nobody asked")
    assert reader.ahead is None
    reader.feed(UPGRADE)
    assert not reader.keep_ahead(b"a" * MAX_AHEAD_BYTES)
    assert reader.keep_ahead(b"a")


def test_http_1_0_knows_no_upgrade() -> None:
    reader = RequestReader(LIMITS, Notes())
    reader.feed(UPGRADE.replace(b"1.1", b"1.0"))
    assert (reader.ahead, reader.is_final) == (None, True)


def test_trailers_have_the_limits_of_a_head_and_each_body_its_own() -> None:
    head = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    whole = head + b"A: b\r\n" * 9 + b"\r\n"
    events, problem = read(whole, whole)
    assert (events.count((b"A", b"b")), problem) == (18, None)
    events, problem = read(head + b"A: b\r\n" * 10 + b"\r\n")
    assert problem is not None
    assert problem[0] is Reason.HEADERS_TOO_LARGE
    assert "end" not in events


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 3", b"content-length: 03", b"Transfer-Encoding: chunked"]
)
def test_an_upgrade_with_a_body_is_told_as_nothing(framing: bytes) -> None:
    """llhttp ends such a request at its head; its length would go upstream without its body."""
    head = b"POST /a HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n" + framing + b"\r\n\r\nabc"
    events, problem = read(head)
    assert events == []
    assert problem is not None
    assert problem[0] is Reason.AMBIGUOUS_FRAMING


CLOSING_10 = [b"close, keep-alive", b"keep-alive\r\nConnection: Close", b"keep-alive,\tclose\t"]


@pytest.mark.parametrize("value", CLOSING_10)
def test_nothing_is_read_behind_a_close_of_http_10(value: bytes) -> None:
    """llhttp lets `keep-alive` win there; others read no further."""
    events, problem = read(b"GET /a HTTP/1.0\r\nConnection: " + value + b"\r\n\r\n" + GET)
    assert events == []
    assert problem is not None
    assert problem[0] is Reason.MALFORMED_REQUEST


def test_a_connection_of_http_10_may_stay_open() -> None:
    events, problem = read(b"GET /a HTTP/1.0\r\nConnection: keep-alive, x-close\r\n\r\n" + GET)
    assert problem is None
    assert events[1:] == ["end", *GET_EVENTS]


def test_an_upgrade_with_an_empty_body_is_one_without() -> None:
    events, _ = read(b"POST /a HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n")
    assert events[-1] == "end"


STOPPED = {
    "a target": (b"GET /" + b"a" * 100, Reason.TARGET_TOO_LONG),
    "a header": (b"GET / HTTP/1.1\r\nA: " + b"a" * 1000 + b"\r\n\r\n", Reason.HEADERS_TOO_LARGE),
    "lines": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 11 + b"\r\n", Reason.HEADERS_TOO_LARGE),
    "a header without end": (b"GET / HTTP/1.1\r\nA: " + b"a" * 3000, Reason.HEADERS_TOO_LARGE),
    "a name without end": (b"GET / HTTP/1.1\r\n" + b"a" * 3000, Reason.HEADERS_TOO_LARGE),
    "spaces without end": (b"GET / HTTP/1.1\r\nA:" + b" " * 3000, Reason.HEADERS_TOO_LARGE),
    "no HTTP": (b"hello", Reason.MALFORMED_REQUEST),
}


@pytest.mark.parametrize(("data", "reason"), STOPPED.values(), ids=STOPPED.keys())
@pytest.mark.parametrize("size", [1, 50, 100_000])
def test_what_is_too_large_stops_the_reading(data: bytes, reason: Reason, size: int) -> None:
    events, problem = read(*[data[at : at + size] for at in range(0, len(data), size)])
    assert events == []
    assert problem is not None
    assert problem[0] is reason


@pytest.mark.parametrize("start", [b"0\r\nA: ", b"0\r\nA", b"1;a=", b"1\r\na\r\n5;"])
def test_what_is_no_body_has_a_limit_inside_a_body_too(start: bytes) -> None:
    head = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    _, problem = read(head + start, *[b"a" * 100] * 30)
    assert problem == (Reason.HEADERS_TOO_LARGE, "the limit is 1000 bytes")


def test_a_long_connection_is_not_taken_for_a_long_head() -> None:
    assert read(*[GET] * 1000) == (GET_EVENTS * 1000, None)
    events, problem = read(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n", *[b"a" * 1000] * 100)
    assert problem is None
    assert events[-1] == "end"


def test_a_fault_of_ours_is_no_fault_of_the_client(caplog: pytest.LogCaptureFixture) -> None:
    reader = RequestReader(LIMITS, Notes(ZeroDivisionError()))
    assert reader.feed(GET) == (Reason.INTERNAL_ERROR, "")
    assert "ZeroDivisionError" in caplog.text


def test_the_detail_quotes_nothing_of_the_request() -> None:
    for data, _ in STOPPED.values():
        _, problem = read(data)
        assert problem is not None
        assert "aaa" not in problem[1]
        assert "hello" not in problem[1]


def test_a_closed_reader_keeps_nothing_alive() -> None:
    notes = Notes()
    reader = RequestReader(LIMITS, notes)
    reader.feed(GET)
    reader.close()
    assert not hasattr(reader, "_parser")
    assert not hasattr(reader, "_taker")
