"""
Whether we and h11 read the same requests in the same bytes, up to the first that we refuse.

What differs and is not refused is a way to smuggle: the hop before or behind us may read as h11 does.
"""

import re

import h11

from proxy.accept.reading import Problem
from proxy.model.decision import Reason
from proxy.model.request import Headers
from proxy.wire.headers import HOP_BY_HOP, normal_name
from tests.fuzz.answers import answer_read_by_h11, answer_read_by_us
from tests.fuzz.readings import (
    Message,
    comparable,
    head_of,
    is_end,
    read_by_h11,
    read_by_us,
    refusal_of,
)

INJECTED = (b"X-Rolegate-Subject: mira\r\n",)


def assert_same_requests(data: bytes) -> None:
    """Raise `AssertionError` if we accept a request in `data` that h11 refuses or reads in another way."""
    ours, problem = read_by_us(data)
    theirs, stop = read_by_h11(data)
    for index, message in enumerate(ours):
        refusal = refusal_of(message)
        if refusal is not None and is_end(refusal):
            return
        is_last = index == len(ours) - 1
        found = theirs[index] if index < len(theirs) else None
        if found is None:
            if (refusal is not None and is_about_host(stop)) or is_own_limit(stop, data):
                return  # h11 reads no further; we refuse the request and go on behind it
            raise AssertionError(f"h11 refuses what we read: {stop}\n{message}\n{data!r}")
        if message.body == found.body and is_about_trailer(message.is_complete, found.is_complete, stop):
            return
        if is_own_limit(stop, data) and not found.is_complete:
            assert_same_head(message, found)
            return
        difference = _difference(message, found, problem if is_last else None, stop)
        assert difference == "", f"{difference} differs:\n{message}\n{found}\n{stop}\n{data!r}"
        if refusal is None:
            assert_upstream_reads(message)
        if message.is_last:
            return
    if theirs[len(ours) :] and theirs[len(ours)].method == "PRI":
        return  # llhttp waits for the rest of HTTP/2's preface, and refuses it then
    assert problem is not None or len(ours) == len(theirs), f"h11 reads more:\n{ours}\n{theirs}\n{data!r}"


def assert_same_head(ours: Message, theirs: Message) -> None:
    """Raise `AssertionError` unless what h11 read before it stopped is what we read."""
    assert _difference(ours, theirs, (Reason.MALFORMED_REQUEST, ""), "") == "", f"{ours}\n{theirs}"
    assert ours.body.startswith(theirs.body), f"{ours}\n{theirs}"


def is_about_host(stop: str) -> bool:
    """Say whether h11 stopped because of what we refuse as well, but on a connection that goes on."""
    return stop in ("Missing mandatory Host: header", "Found multiple Host: headers")


ABOUT_FRAMING = (
    "Only Transfer-Encoding: chunked is supported",
    "multiple Transfer-Encoding headers",
    "conflicting Content-Length headers",
    "bad Content-Length",
)


def is_about_trailer(ours: bool, theirs: bool, stop: str) -> bool:
    """
    Say whether h11 stopped at a trailer that would frame a message, had it stood in the head.

    We drop such a trailer, and the body has ended. `ours` and `theirs` say who read the end.
    """
    return ours and not theirs and stop in ABOUT_FRAMING


_LONG_SIZE = re.compile(rb"\n0{5}[0-9a-fA-F]{16}")


def is_own_limit(stop: str, data: bytes) -> bool:
    """Say whether h11 stopped at its limit of twenty digits, which llhttp does not have for zeros."""
    return stop.startswith("illegal chunk header") and _LONG_SIZE.search(data) is not None


def _difference(ours: Message, theirs: Message, problem: Problem | None, stop: str) -> str:
    if (ours.method, ours.target, ours.version) != (theirs.method, theirs.target, theirs.version):
        return "the request line"
    if comparable(ours.headers) != comparable(theirs.headers):
        return "a header"
    if problem is not None:
        return ""  # the body could not be read, and is refused
    if ours.body != theirs.body:
        return "the body"
    if ours.is_complete != theirs.is_complete or (not ours.is_complete and stop):
        return "the end"
    if ours.is_complete and theirs.is_last and not ours.is_last:
        return "whether another one may follow"
    return ""


def assert_upstream_reads(message: Message) -> None:
    """Raise `AssertionError` unless h11 reads of our head what was decided on, and our lines alone."""
    request, block = head_of(message)
    trace = block.trace_lines("a" * 32, "b" * 16)
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"".join(block.upstream_lines(request, trace, INJECTED, with_credential=True)))
    event = connection.next_event()
    assert isinstance(event, h11.Request), event
    lines = list(event.headers)
    assert (event.method.decode(), event.target) == (request.method, request.target)
    assert [value for name, value in lines if name == b"host"] == [request.authority]
    assert [value for name, value in lines if name == b"x-rolegate-subject"] == [b"mira"]
    framing = [(name, value) for name, value in lines if name in (b"content-length", b"transfer-encoding")]
    if block.framing.name == "CHUNKED":
        assert framing == [(b"transfer-encoding", b"chunked")]
    elif block.announced_bytes:
        assert framing == [(b"content-length", b"%d" % block.announced_bytes)]
    else:
        assert framing in ([], [(b"content-length", b"0")])
    # RFC 9112 section 6.1: a faulty framing, which h11 takes all the same.
    assert message.version != "1.0" or block.framing.name != "CHUNKED", message
    kept = {name.lower() for name, _ in message.headers}
    ours = {b"host", b"traceparent", b"x-rolegate-subject"}
    for_trailers = {b"connection"} if (b"te", b"trailers") in lines else set()
    assert {name for name, _ in lines} <= kept | ours | for_trailers
    assert [value for name, value in lines if name == b"connection"] == [b"TE"] * len(for_trailers)


# llhttp reads two more names of the protocol, and skips empty lines before a response. Neither reaches the
# client, whose status line is ours, and neither moves the end of a message.
_NO_STATUS_LINE = ("illegal status line", "no response line received")
_STRANGE_START = re.compile(rb"(?:RTSP|ICE)/[0-9]\.[0-9] |(?:\A|\r\n)[\r\n]+HTTP/")

NOT_PASSED_ON = HOP_BY_HOP | {b"x-request-id", b"content-length"}


def assert_same_response(method: str, data: bytes) -> None:
    """Raise `AssertionError` if we pass on a response that h11 reads in another way, or not at all."""
    for is_closed in (False, True):
        ours = answer_read_by_us(method, data, is_closed=is_closed)
        if ours.end == "failed" or ours.status == 0:
            continue
        theirs, stop = answer_read_by_h11(method, data, is_closed=is_closed)
        if stop.startswith(_NO_STATUS_LINE) and _STRANGE_START.search(data):
            return
        shown = f"{ours}\n{theirs}\n{stop}\n{method} {data!r}"
        assert (ours.interim, ours.status, ours.phrase) == (theirs.interim, theirs.status, theirs.phrase), (
            shown
        )
        assert _passed_on(ours.headers) == _passed_on(theirs.headers), shown
        if is_own_limit(stop, data):
            assert ours.body.startswith(theirs.body), shown
            return
        if ours.body == theirs.body and is_about_trailer(
            ours.end == "complete", theirs.end == "complete", stop
        ):
            return
        assert (ours.body, ours.end) == (theirs.body, theirs.end), shown
        # h11 takes no HTTP/1.0 connection for one that stays, whatever it says.
        assert theirs.is_reused or not ours.is_reused or b"HTTP/1.0" in data, shown


def _passed_on(headers: Headers) -> Headers:
    nominated = {
        normal_name(token.strip(b" \t"))
        for name, value in headers
        if name.lower() == b"connection"
        for token in value.split(b",")
    }
    return [
        (name, value)
        for name, value in comparable(headers)
        if name not in NOT_PASSED_ON and normal_name(name) not in nominated
    ]
