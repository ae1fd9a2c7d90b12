import httptools
import pytest

from proxy.errors import RequestError
from proxy.model.decision import Reason
from proxy.model.request import Headers
from proxy.wire import headers as module
from proxy.wire.headers import (
    HOP_BY_HOP,
    MAX_KNOWN_NAME_BYTES,
    MAX_KNOWN_NAMES,
    Kind,
    RequestHeaders,
    SortedHeaders,
    claimed_host,
    header_text,
    identity_lines,
    keep_in_response,
    require_one_host,
    sort_headers,
)

OURS = (b"X-Rolegate-Subject", b"X-Rolegate-Issuer", b"X-Rolegate-Roles", b"X-Rolegate-Request-Id")


def sort(*lines: tuple[bytes, bytes], stripped: tuple[bytes, ...] = OURS) -> SortedHeaders:
    return sort_headers(list(lines), RequestHeaders(stripped))


def kept(*lines: tuple[bytes, bytes], stripped: tuple[bytes, ...] = OURS) -> bytes:
    return b"".join(sort(*lines, stripped=stripped).kept)


def spellings(name: bytes) -> list[bytes]:
    return [
        name,
        name.lower(),
        name.upper(),
        name.swapcase(),
        name.replace(b"-", b"_"),
        name.replace(b"-", b"_", 1).lower(),
        name[::-1].replace(b"-", b"_", 1)[::-1],
        name.replace(b"-", b"."),
        name.replace(b"-", b"~", 1),
        b"".join(
            name[at : at + 1].upper() if at % 2 else name[at : at + 1].lower() for at in range(len(name))
        ),
    ]


@pytest.mark.parametrize(
    "name",
    [
        *OURS,
        b"X-Forwarded-Host",
        b"X-Forwarded-Proto",
        b"X-Forwarded-Anything-New",
        b"X-Forwarded",
        b"Forwarded",
        b"X-Real-IP",
        b"X-Original-URL",
        b"X-Rewrite-URL",
        b"X-HTTP-Method-Override",
        b"X-Remote-Group",
        b"Remote-User",
        b"X-Auth-Request-Email",
        b"X-Ssl-Client-S-Dn",
        b"True-Client-IP",
        b"X-Request-Id",
        b"Proxy",
    ],
)
def test_a_header_that_an_upstream_would_believe_is_stripped_in_every_spelling(name: bytes) -> None:
    for spelling in spellings(name):
        assert kept((spelling, b"forged"), (b"X-Mine", b"1"), (spelling, b"again")) == b"X-Mine: 1\r\n"


@pytest.mark.parametrize("name", [b"x_Rolegate-subject", b"X_ROLEGATE_SUBJECT", b"x-rolegate_Subject"])
def test_mixed_spellings_of_the_subject_do_not_pass(name: bytes) -> None:
    assert kept((name, b"admin")) == b""


@pytest.mark.parametrize("spelling", spellings(b"Company-Caller"))
def test_identity_headers_of_the_configuration_are_stripped_in_every_spelling(spelling: bytes) -> None:
    assert kept((spelling, b"forged"), stripped=(b"Company-Caller",)) == b""
    assert kept((spelling, b"forged"), stripped=(b"company_caller",)) == b""


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP - {b"connection", b"transfer-encoding"}))
def test_hop_by_hop_headers_end_here(name: bytes) -> None:
    for spelling in spellings(name):
        assert kept((spelling, b"x")) == b""


@pytest.mark.parametrize(
    "name",
    [b"Content_Length", b"CONTENT_LENGTH", b"Transfer_Encoding", b"transfer.encoding", b"X_Forwarded_For"],
)
def test_a_folded_framing_header_is_nobodys(name: bytes) -> None:
    """A CGI-style upstream would take it for the real one."""
    found = sort((name, b"5"))
    assert found.kept == []
    assert found.content_length is None
    assert found.transfer_encodings == found.forwarded_for == []


@pytest.mark.parametrize(
    "name", [b"Authorization_", b"X-Customer", b"Cookie", b"Accept", b"X-Users", b"Remotely", b"Proxy-Hint"]
)
def test_other_headers_pass_byte_for_byte(name: bytes) -> None:
    value = b" \xe4\xff, a;b  "
    assert kept((name, value), (name, b"")) == name + b": " + value + b"\r\n" + name + b": \r\n"


def test_the_special_ones_are_handed_out_and_not_kept() -> None:
    found = sort(
        (b"HOST", b" a.example \t"),
        (b"content-LENGTH", b"12"),
        (b"Transfer-encoding", b" Chunked "),
        (b"AUTHORIZATION", b"Bearer x"),
        (b"Expect", b" 100-Continue "),
        (b"X-Forwarded-FOR", b"192.0.2.1"),
        (b"x-forwarded-for", b"192.0.2.2"),
        (b"TraceParent", b"00-x"),
        (b"tracestate", b"a=1"),
        (b"TraceState", b"b=2"),
    )
    assert found.hosts == [b"a.example"]
    assert found.content_length == 12
    assert found.transfer_encodings == [b"chunked"]
    assert found.authorizations == [b"Bearer x"]
    assert found.expects == [b"100-continue"]
    assert found.forwarded_for == [b"192.0.2.1", b"192.0.2.2"]
    assert found.traceparents == [b"00-x"]
    assert found.tracestates == [b"a=1", b"b=2"]
    assert found.kept == []


@pytest.mark.parametrize(
    "connection",
    [b"X-Secret", b"x-secret", b"close, X-SECRET", b"x_secret", b" ,, \tX-Secret\t,", b"keep-alive,x-secret"],
)
def test_a_header_that_connection_names_ends_here(connection: bytes) -> None:
    lines = ((b"X-Secret", b"1"), (b"X-Kept", b"2"), (b"x_secret", b"3"))
    assert kept(*lines, (b"Connection", connection)) == b"X-Kept: 2\r\n"
    assert kept((b"Connection", connection), *lines) == b"X-Kept: 2\r\n"


def test_several_connection_headers_count_together() -> None:
    found = kept((b"Connection", b"x-a"), (b"X-A", b"1"), (b"X-B", b"2"), (b"CONNECTION", b"x-b"))
    assert found == b""


@pytest.mark.parametrize(
    "name", [b"host", b"content-length", b"authorization", b"x-forwarded-for", b"traceparent", b"expect"]
)
def test_connection_does_not_make_us_overlook_what_is_ours_to_judge(name: bytes) -> None:
    lines = ((b"Host", b"a"), (b"Content-Length", b"5"), (b"Authorization", b"Bearer x"))
    more = ((b"X-Forwarded-For", b"192.0.2.1"), (b"traceparent", b"00-x"), (b"Expect", b"100-continue"))
    assert sort(*lines, *more, (b"Connection", name)).nominated == {name}
    found = sort(*lines, *more, (b"Connection", name))
    assert (found.hosts, found.content_length, found.authorizations) == ([b"a"], 5, [b"Bearer x"])
    assert (found.forwarded_for, found.traceparents) == ([b"192.0.2.1"], [b"00-x"])
    assert found.expects == [b"100-continue"]


@pytest.mark.parametrize("value", [b"keep-alive", b"close", b"Keep-Alive", b"Close"])
def test_an_everyday_connection_header_nominates_nothing(value: bytes) -> None:
    assert sort((b"Connection", value), (b"Keep", b"1")).nominated == set()


# Content-Length


@pytest.mark.parametrize(
    ("value", "number"),
    [(b"0", 0), (b"5", 5), (b"05", 5), (b" 5\t ", 5), (b"18446744073709551615", 2**64 - 1)],
)
def test_a_content_length_is_a_decimal_number(value: bytes, number: int) -> None:
    assert sort((b"Content-Length", value)).content_length == number


NOT_LENGTHS = [
    b"",
    b" ",
    b"+5",
    b"-5",
    b"1_000",
    b"5\n",
    b"5\x0b",
    b"\x0c5",
    b"5,5",
    b"5 5",
    b"0x5",
    b"5.0",
    b"1e3",
    b"\xd9\xa5",
    b"\xb2",
    b"9" * 21,
    b"9" * 5000,
]


@pytest.mark.parametrize("value", NOT_LENGTHS)
def test_what_int_would_take_and_http_does_not_is_refused(value: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        sort((b"Content-Length", value))
    assert caught.value.reason is Reason.AMBIGUOUS_FRAMING


@pytest.mark.parametrize("second", [b"5", b"6", b"05"])
def test_two_content_lengths_are_refused_even_if_they_agree(second: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        sort((b"Content-Length", b"5"), (b"content-length", second))
    assert caught.value.reason is Reason.AMBIGUOUS_FRAMING


# Host


@pytest.mark.parametrize("hosts", [[], [b"a", b"a"], [b"a", b"b", b"c"]])
def test_any_number_of_hosts_but_one_is_refused(hosts: list[bytes]) -> None:
    with pytest.raises(RequestError) as caught:
        require_one_host(hosts)
    assert caught.value.reason is Reason.AMBIGUOUS_HOST
    assert caught.value.detail == f"send exactly one Host header; {len(hosts) or 'none'} came"


def test_one_host_is_returned() -> None:
    assert require_one_host([b"a.example:80"]) == b"a.example:80"


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([], ""),
        ([(b"hOsT", b"b\xff"), (b"Host", b"c")], "b\xff"),
        ([(b"Host_", b"c")], ""),
        ([(b"Host", b"mira:secret@c:80")], "c:80"),
    ],
)
def test_the_claimed_host_is_the_first_one_without_a_password(lines: Headers, text: str) -> None:
    assert claimed_host(lines) == text


# The memory of names.


def test_a_flood_of_names_does_not_grow_the_memory() -> None:
    rules = RequestHeaders(OURS)
    for number in range(100_000):
        sort_headers([(b"X-Flood-%d" % number, b"")], rules)
        assert len(rules.known) <= MAX_KNOWN_NAMES


def test_everyday_names_find_their_way_back_into_the_memory_after_a_flood() -> None:
    rules = RequestHeaders(OURS)
    for number in range(MAX_KNOWN_NAMES):
        rules.judge(b"X-Flood-%d" % number)
    sort_headers([(b"Host", b"a"), (b"Accept", b"*/*")], rules)
    assert rules.known[b"Host"] is Kind.HOST
    assert rules.known[b"Accept"] is Kind.KEEP


def test_a_long_name_is_judged_and_not_remembered() -> None:
    rules = RequestHeaders(OURS)
    longest = b"X-Rolegate-".ljust(MAX_KNOWN_NAME_BYTES, b"a")
    assert rules.judge(longest) is Kind.DROP
    assert rules.judge(longest + b"a") is Kind.DROP
    assert list(rules.known) == [longest]


def test_a_flood_of_response_headers_does_not_grow_the_memory() -> None:
    for number in range(3 * MAX_KNOWN_NAMES):
        assert keep_in_response(b"X-Flood-%d" % number)
    assert keep_in_response(b"x" * 30_000)
    assert len(module._known_response_names) <= MAX_KNOWN_NAMES
    assert all(len(name) <= MAX_KNOWN_NAME_BYTES for name in module._known_response_names)


# Responses


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP | {b"content-length", b"x-request-id"}))
def test_hop_by_hop_headers_of_a_response_end_here(name: bytes) -> None:
    for spelling in (name, name.upper(), name.title(), name.swapcase()):
        for _ in range(2):  # judged, and remembered
            assert not keep_in_response(spelling)


@pytest.mark.parametrize("name", [b"Set-Cookie", b"WWW-Authenticate", b"Content-Encoding", b"Date", b"ETag"])
def test_other_headers_of_a_response_pass(name: bytes) -> None:
    assert keep_in_response(name)


# Injection


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("mira", b"mira"),
        ("", b""),
        ("a b", b"a%20b"),
        (" a ", b"%20a%20"),
        ("a\r\nX-Rolegate-Roles: admin", b"a%0D%0AX-Rolegate-Roles:%20admin"),
        ("a\nb", b"a%0Ab"),
        ("a\x00b\x7f\t", b"a%00b%7F%09"),
        ("a,b", b"a%2Cb"),
        ("100%", b"100%25"),
        ("%0d%0a", b"%250d%250a"),
        ("ü", b"%C3%BC"),
        ("\x85\u2028", b"%C2%85%E2%80%A8"),
        ("日本", b"%E6%97%A5%E6%9C%AC"),
        ("\ud800", b"%ED%A0%80"),
        ("\U0001f511", b"%F0%9F%94%91"),
        ('"\\<>', b"%22%5C%3C%3E"),
        ("project_path:a/b:ref_type:branch:ref:main", b"project_path:a/b:ref_type:branch:ref:main"),
        ("auth0|12@idp#1", b"auth0|12@idp#1"),
    ],
)
def test_a_claim_cannot_end_its_header_line(text: str, value: bytes) -> None:
    assert header_text(text) == value


def test_every_character_comes_out_as_visible_ascii_and_no_two_alike() -> None:
    seen: dict[bytes, int] = {}
    for code in (*range(0x3000), *range(0xD7F0, 0xE010), 0xFFFF, 0x10FFFF):
        value = header_text(chr(code))
        assert value
        assert all(0x21 <= octet <= 0x7E and octet != ord(",") for octet in value)
        assert seen.setdefault(value, code) == code


def test_identity_lines_survive_the_parser_with_hostile_claims() -> None:
    lines = identity_lines(
        OURS[:3],
        "gitlab",
        "mira\r\nX-Rolegate-Roles: admin\r\n\r\nGET /admin HTTP/1.1",
        {"deploy,admin", "b\nc", "ä"},
    )
    parsed = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
    assert parsed == [
        (b"Host", b"a"),
        (b"X-Rolegate-Subject", b"mira%0D%0AX-Rolegate-Roles:%20admin%0D%0A%0D%0AGET%20/admin%20HTTP/1.1"),
        (b"X-Rolegate-Issuer", b"gitlab"),
        (b"X-Rolegate-Roles", b"b%0Ac,deploy%2Cadmin,%C3%A4"),
    ]


def test_roles_come_in_one_order_and_may_be_none() -> None:
    assert identity_lines(OURS[:3], "i", "s", {"b", "a"}).endswith(b"X-Rolegate-Roles: a,b\r\n")
    assert identity_lines(OURS[:3], "i", "s", ()).endswith(b"X-Rolegate-Roles: \r\n")


# What we leave to the parser, the parser does.


@pytest.mark.parametrize(
    "line",
    [
        b"X: a\x00b",
        b"X: a\x01b",
        b"X: a\x7fb",
        b"X: a\rb",
        b"X: a\nb",
        b"X : b",
        b"X\x80: b",
        b": b",
        b" X: b",
    ],
)
def test_the_parser_refuses_a_line_that_would_not_be_safe_to_pass_on(line: bytes) -> None:
    with pytest.raises(httptools.HttpParserError):
        parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n")


def parse_request(data: bytes) -> Headers:
    class Parsed:
        def __init__(self) -> None:
            self.headers: Headers = []

        def on_header(self, name: bytes, value: bytes) -> None:
            self.headers.append((name, value))

    parsed = Parsed()
    httptools.HttpRequestParser(parsed).feed_data(data)
    return parsed.headers
