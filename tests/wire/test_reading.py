from ipaddress import ip_network
from typing import NamedTuple

import pytest

from proxy.errors import RequestError
from proxy.model.decision import Reason
from proxy.model.peer import Peer
from proxy.model.request import Request
from proxy.wire.framing import Framing
from proxy.wire.headers import RequestHeaders
from proxy.wire.reading import HeaderBlock, read_request

TRACE = "a" * 32
SPAN = "b" * 16
NEW_TRACE = f"traceparent: 00-{TRACE}-{SPAN}-02\r\n".encode()
HOST = (b"Host", b"API.example:80")
TOKEN = (b"Authorization", b"Bearer abc.def.ghi")
INJECTED = (b"X-Rolegate-Subject: mira\r\n",)


class Head(NamedTuple):
    request: Request
    block: HeaderBlock


def read(
    *lines: tuple[bytes, bytes],
    method: str = "GET",
    target: bytes = b"/a",
    version: str = "1.1",
    peer: str = "192.0.2.7",
) -> Head:
    rules = RequestHeaders((b"X-Rolegate-Subject",))
    block = HeaderBlock(version, list(lines), rules, Peer(address=peer), (ip_network("10.0.0.0/8"),))
    return Head(read_request(method, target, block), block)


def upstream(head: Head, *, with_credential: bool = False) -> bytes:
    request, block = head
    trace = block.trace_lines(TRACE, SPAN)
    return b"".join(block.upstream_lines(request, trace, INJECTED, with_credential=with_credential))


def test_the_upstream_receives_the_canonical_target_and_ours_last() -> None:
    head = read(HOST, (b"Accept", b"*/*"), (b"x_rolegate_subject", b"root"), TOKEN, target=b"/%61?q=%61")
    assert (head.request.host, head.request.path) == ("api.example", "/a")
    assert upstream(head) == (
        b"GET /a?q=%61 HTTP/1.1\r\nHost: api.example:80\r\nAccept: */*\r\n"
        + NEW_TRACE
        + b"X-Rolegate-Subject: mira\r\n\r\n"
    )


def test_connection_cannot_remove_what_we_inject() -> None:
    named = b"x-rolegate-subject, traceparent, x-forwarded-for, host, expect, content-length, x-own"
    lines = ((b"Connection", named), (b"X-Own", b"1"), (b"Content-Length", b"3"))
    head = read(HOST, *lines, (b"Expect", b"100-continue"), method="POST")
    assert upstream(head) == (
        b"POST /a HTTP/1.1\r\nHost: api.example:80\r\n"
        + NEW_TRACE
        + b"Expect: 100-continue\r\nContent-Length: 3\r\nX-Rolegate-Subject: mira\r\n\r\n"
    )


def test_the_credential_goes_on_only_where_the_route_says_so() -> None:
    head = read(HOST, TOKEN)
    assert head.request.credential is not None
    assert head.request.credential.unverified_token == b"abc.def.ghi"
    assert b"abc" not in upstream(head)
    assert b"\r\nAuthorization: Bearer abc.def.ghi\r\n" in upstream(head, with_credential=True)


def test_without_a_credential_there_is_none_to_forward() -> None:
    head = read(HOST)
    assert head.request.credential is None
    assert head.block.authorization == b""
    assert b"Authorization" not in upstream(head, with_credential=True)


@pytest.mark.parametrize(
    ("lines", "version", "framing", "announced", "line"),
    [
        ([], "1.1", Framing.NONE, 0, b""),
        ([(b"Content-Length", b"0")], "1.1", Framing.NONE, 0, b"Content-Length: 0\r\n"),
        ([(b"Content-Length", b"007 ")], "1.1", Framing.LENGTH, 7, b"Content-Length: 7\r\n"),
        ([(b"Content-Length", b"7")], "1.0", Framing.LENGTH, 7, b"Content-Length: 7\r\n"),
        (
            [(b"Transfer-Encoding", b" CHUNKED ")],
            "1.1",
            Framing.CHUNKED,
            0,
            b"Transfer-Encoding: chunked\r\n",
        ),
    ],
)
def test_a_body_is_announced_upstream_in_one_spelling(
    lines: list[tuple[bytes, bytes]], version: str, framing: Framing, announced: int, line: bytes
) -> None:
    head = read(HOST, *lines, method="PUT", version=version)
    assert (head.block.framing, head.block.announced_bytes) == (framing, announced)
    assert (head.block.kept, head.block.framing_lines) == (b"", line)
    assert NEW_TRACE + line + INJECTED[0] in upstream(head)


@pytest.mark.parametrize(("version", "waits"), [("1.1", True), ("1.0", False)])
def test_only_a_client_of_http_1_1_waits_for_a_100(version: str, waits: bool) -> None:
    head = read(HOST, (b"Expect", b"100-Continue"), (b"Content-Length", b"1"), version=version)
    assert head.block.expects_continue is waits
    assert (b"Expect: 100-continue\r\n" in upstream(head)) is waits


@pytest.mark.parametrize(
    ("inbound", "keeps"),
    [(f"00-{'c' * 32}-{'d' * 16}-01".encode(), True), (b"00-broken", False)],
)
def test_tracestate_goes_with_a_good_traceparent_only(inbound: bytes, keeps: bool) -> None:
    head = read(HOST, (b"Tracestate", b"a=1"), (b"traceparent", inbound), (b"tracestate", b"b=2"))
    assert (b"tracestate: a=1,b=2\r\n" in upstream(head)) is keeps
    assert upstream(head).lower().count(b"traceparent:") == 1


def test_addresses_are_believed_from_a_trusted_proxy_only() -> None:
    forwarded = (b"X-Forwarded-For", b"198.51.100.9")
    stranger = read(HOST, forwarded, peer="192.0.2.7")
    assert (stranger.request.client, stranger.block.chain) == ("192.0.2.7", ())
    proxied = read(HOST, forwarded, peer="10.0.0.1")
    assert (proxied.request.client, proxied.block.chain) == ("198.51.100.9", ("10.0.0.1",))


@pytest.mark.parametrize(
    ("lines", "method", "target", "version", "reason"),
    [
        ([], "GET", b"/a", "1.1", Reason.AMBIGUOUS_HOST),
        ([], "GET", b"/a", "1.0", Reason.AMBIGUOUS_HOST),
        ([HOST, HOST], "GET", b"/a", "1.1", Reason.AMBIGUOUS_HOST),
        ([HOST, (b"host", b"b")], "GET", b"/a", "1.1", Reason.AMBIGUOUS_HOST),
        ([(b"Host", b"a, b")], "GET", b"/a", "1.1", Reason.AMBIGUOUS_HOST),
        ([HOST], "GET", b"/a/../b", "1.1", Reason.AMBIGUOUS_PATH),
        ([HOST], "GET", b"http://other/a", "1.1", Reason.AMBIGUOUS_HOST),
        ([HOST], "CONNECT", b"api.example:443", "1.1", Reason.METHOD_REFUSED),
        ([HOST], "TRACE", b"/a", "1.1", Reason.METHOD_REFUSED),
        ([HOST], "GET", b"/a", "2.0", Reason.VERSION_UNSUPPORTED),
        ([HOST, (b"Transfer-Encoding", b"chunked")], "POST", b"/a", "1.0", Reason.AMBIGUOUS_FRAMING),
        ([HOST, (b"Content-Length", b"+1")], "POST", b"/a", "1.1", Reason.AMBIGUOUS_FRAMING),
        ([HOST, (b"Expect", b"tea")], "POST", b"/a", "1.1", Reason.MALFORMED_REQUEST),
        ([HOST, TOKEN, TOKEN], "GET", b"/a", "1.1", Reason.SEVERAL_CREDENTIALS),
    ],
)
def test_what_has_two_readings_is_refused_before_anything_is_decided(
    lines: list[tuple[bytes, bytes]], method: str, target: bytes, version: str, reason: Reason
) -> None:
    with pytest.raises(RequestError) as caught:
        read(*lines, method=method, target=target, version=version)
    assert caught.value.reason is reason
