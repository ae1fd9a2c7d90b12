"""Which fields may stand behind a body."""

import pytest

from proxy.wire.framing import LAST_CHUNK
from proxy.wire.headers import RequestHeaders
from proxy.wire.trailers import passes_down, passes_up, with_trailer

RULES = RequestHeaders((b"X-Caller",))

FORBIDDEN_BOTH_WAYS = (
    *(b"Transfer-Encoding", b"Content-Length", b"content_length", b"Connection", b"Trailer", b"TE"),
    *(b"Upgrade", b"Content-Type", b"Content-Encoding", b"Content-Range", b"Content-Anything"),
    *(b"Keep-Alive", b"Host", b"Via"),
    *(b"Authorization", b"AUTHORIZATION", b"Cookie", b"Set-Cookie", b"Set_Cookie", b"WWW-Authenticate"),
    *(b"Proxy-Authorization", b"Proxy-Anything", b"Cache-Control", b"Expect", b"Max-Forwards", b"Pragma"),
    *(b"Range", b"If-Match", b"If-None-Match", b"Age", b"Expires", b"Date", b"Location", b"Retry-After"),
    *(b"Vary", b"Access-Control-Allow-Origin", b"X-Forwarded-For", b"Sec-WebSocket-Accept"),
    *(b"X-Request-Id", b"Strict-Transport-Security", b"traceparent", b"Http2-Settings"),
)
FORBIDDEN_UP = (
    *(b"X-Rolegate-Subject", b"x_rolegate_roles", b"X-Rolegate-Anything", b"X-Caller", b"x_caller"),
    *(b"Forwarded", b"X-Real-IP", b"X-Original-URL", b"Proxy", b"X-HTTP-Method-Override", b"Client-Cert"),
)
WELCOME = (b"X-Checksum", b"Digest", b"Repr-Digest", b"grpc-status", b"Server-Timing", b"ETag", b"Signature")


@pytest.mark.parametrize("name", FORBIDDEN_BOTH_WAYS)
def test_what_a_recipient_could_take_for_a_header_passes_neither_way(name: bytes) -> None:
    assert not passes_up(name, RULES, [])
    assert not passes_down(name, set())


@pytest.mark.parametrize("name", FORBIDDEN_UP)
def test_what_only_we_may_say_does_not_pass_to_the_upstream(name: bytes) -> None:
    assert not passes_up(name, RULES, [])


@pytest.mark.parametrize("name", WELCOME)
def test_others_pass(name: bytes) -> None:
    assert passes_up(name, RULES, [])
    assert passes_down(name, set())


def test_what_connection_names_ends_here() -> None:
    headers = [(b"Host", b"a"), (b"connection", b"close, X-Checksum")]
    assert not passes_up(b"x_checksum", RULES, headers)
    assert passes_up(b"X-Other", RULES, headers)
    assert not passes_down(b"X-Checksum", {b"x-checksum"})


def test_trailers_stand_in_order_behind_the_last_chunk() -> None:
    end = with_trailer(with_trailer(LAST_CHUNK, b"A", b"b"), b"C", b"")
    assert end == b"0\r\nA: b\r\nC: \r\n\r\n"
