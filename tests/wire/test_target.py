import posixpath
import string
from itertools import product
from time import perf_counter
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RequestError
from proxy.model.decision import Reason
from proxy.wire.target import (
    MAX_KNOWN_BYTES,
    MAX_KNOWN_TARGETS,
    Target,
    _parse_known,
    canonical_path,
    parse_target,
)

HOST = b"api.example.com"

CANONICAL = [
    (b"/", "/"),
    (b"/deployments/42", "/deployments/42"),
    (b"/trailing/", "/trailing/"),
    (b"/%61dmin", "/admin"),
    (b"/%41%7a%30%2D%5f%7E", "/Az0-_~"),
    (b"/a%20b", "/a%20b"),
    (b"/caf%c3%a9", "/caf%C3%A9"),
    (b"/%e8%aa%9e/x", "/%E8%AA%9E/x"),
    (b"/%3a%40", "/%3A%40"),
    (b"/@scope:x", "/@scope:x"),
    (b"/!$&'()*+,=:@-._~", "/!$&'()*+,=:@-._~"),
    (b"/.well-known/openid-configuration", "/.well-known/openid-configuration"),
    (b"/a/.hidden", "/a/.hidden"),
    (b"/v1.2..3/Inc.", "/v1.2..3/Inc."),
    (b"/..a/b..", "/..a/b.."),
    (b"/100%25", "/100%25"),
    (b"/100%25/all", "/100%25/all"),
    (b"/a%2Dx%7Eb%2c", "/a-x~b%2C"),
    (b"/%7B%22%3C%3E%5B%5D%7D", "/%7B%22%3C%3E%5B%5D%7D"),
    (b"/what%3F/c%23", "/what%3F/c%23"),
    (b"/%E6%97%A5%20%E6%9C%AC", "/%E6%97%A5%20%E6%9C%AC"),
]


def refusal_of(target: bytes, host: bytes = HOST) -> Reason:
    with pytest.raises(RequestError) as refused:
        parse_target(target, host)
    return refused.value.reason


@pytest.mark.parametrize(("target", "path"), CANONICAL)
def test_one_form_for_every_spelling(target: bytes, path: str) -> None:
    assert parse_target(target, HOST) == Target(path, path.encode(), False, "api.example.com", HOST)


@pytest.mark.parametrize(
    "query", [b"", b"?", b"?a=b&c", b"?next=/../x//y;z?%zz%00", b'?"<>^`{|}[]\\', b"?a?b"]
)
@pytest.mark.parametrize("path", [b"/a", b"/a%20b"])
def test_the_query_goes_upstream_as_it_came(path: bytes, query: bytes) -> None:
    seen = parse_target(path + query, HOST)
    assert seen.target == path + query
    assert seen.path == path.decode()


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/projects/group%2fproject", "/projects/group%2Fproject"),
        (b"/projects/group%2Fproject", "/projects/group%2Fproject"),
        (b"/a%2fb%2fc/d", "/a%2Fb%2Fc/d"),
        (b"/@scope%2fname", "/@scope%2Fname"),
    ],
)
def test_an_encoded_slash_stays_encoded_and_is_told(target: bytes, path: str) -> None:
    seen = parse_target(target, HOST)
    assert seen.path == path
    assert seen.has_encoded_slash


# What somebody, somewhere, reads as one dot, one slash, one thing that is neither.
DOTS = [
    b".",
    b"%2e",
    b"%2E",
    b"%252e",
    b"%25252e",
    b"%u002e",
    b"%c0%ae",
    b"%e0%80%ae",
    b"%EF%BC%8E",
    b"%E2%80%A4",
]
SLASHES = [b"/", b"%2f", b"%2F", b"%252f", b"%25252F", b"\\", b"%5c", b"%5C", b"%255c", b"%c0%af", b"%c1%9c"]
WIDE_SLASHES = [b"%EF%BC%8F", b"%EF%BC%BC", b"%E2%81%84", b"%E2%88%95", b"%ef%b9%a8", b"%u2215", b"%e0%80%af"]
PLACES = [(b"/", b"admin"), (b"/public", b"admin"), (b"/a/b", b"c/d"), (b"/public", b"")]
CLIMBS = [
    head + (slash if head != b"/" else b"") + first + second + slash + tail
    for (head, tail), first, second, slash in product(PLACES, DOTS, DOTS, SLASHES + WIDE_SLASHES)
]


def test_no_spelling_of_a_climb_is_accepted() -> None:
    assert len(CLIMBS) > 6000
    for target in CLIMBS:
        assert refusal_of(target) in {Reason.AMBIGUOUS_PATH, Reason.MALFORMED_REQUEST}, target


@pytest.mark.parametrize(
    ("head", "tail"), [(b"/", b""), (b"/a/", b""), (b"/", b"/a"), (b"/a/", b"/b"), (b"/a%2F", b"%2Fb")]
)
@pytest.mark.parametrize(
    "segment",
    [
        b".", b"..", b"...", b"%2e", b"%2e%2e", b".%2E", b"%2e.", b"....", b"%20", b".%20", b"..%20",
        b"%20..", b".%20.",
        b"%C2%A0..", b"..%C2%A0", b".%E2%80%8B.", b"%E2%80%A6", b"%E2%80%A5", b".%CC%81.", b"%C3%A9..",
        b".%C3%A9",
    ],
)  # fmt: skip
def test_a_segment_of_dots_is_refused_wherever_it_stands(head: bytes, segment: bytes, tail: bytes) -> None:
    assert refusal_of(head + segment + tail) is Reason.AMBIGUOUS_PATH


@pytest.mark.parametrize(
    "target",
    [
        b"//", b"//a", b"/a//b", b"/a//", b"/%2f", b"/%2fa", b"/a%2f", b"/a/%2fb", b"/a%2f/b", b"/a%2f%2fb",
        b"/a%2f..%2fb",
        b"/a%2f%2e%2e%2fb", b"/a%2f.", b"/a/..%2fb", b"/%2f%2fevil", b"/%2e%2e%2f",
    ],
)  # fmt: skip
def test_a_segment_of_nothing_is_refused_encoded_or_not(target: bytes) -> None:
    assert refusal_of(target) is Reason.AMBIGUOUS_PATH


@pytest.mark.parametrize(
    "target",
    [
        b"/a%",
        b"/a%2",
        b"/%g0",
        b"/%0g",
        b"/%%32%65",
        b"/%u002e",
        b"/%U002E",
        b"/% 20",
        b"/%-1",
        b"/a%/b",
        b"/%?x=41",
    ],
)
def test_a_bad_escape_is_refused(target: bytes) -> None:
    assert refusal_of(target) in {Reason.AMBIGUOUS_PATH, Reason.MALFORMED_REQUEST}


@pytest.mark.parametrize(
    "name",
    [
        b"%252e", b"%2541", b"%25%32%65", b"%25%41", b"100%2525", b"%252", b"%25u002e", b"%25if",
        b"%25%C3%A9", b"%25zz",
        b"%25%25", b"%2525252e",
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", [b"/%b", b"/a/%b", b"/a%b", b"/%b/b"])
def test_a_path_that_can_be_decoded_again_is_refused(name: bytes, place: bytes) -> None:
    assert refusal_of(place % name) is Reason.AMBIGUOUS_PATH


@pytest.mark.parametrize("octet", [*range(0x20), 0x7F])
def test_a_control_byte_is_refused_raw_and_encoded(octet: int) -> None:
    assert refusal_of(b"/a%cb" % octet) is Reason.MALFORMED_REQUEST
    assert refusal_of(b"/a?b%c" % octet) is Reason.MALFORMED_REQUEST
    assert refusal_of(b"/a%%%02xb" % octet) is Reason.AMBIGUOUS_PATH


@pytest.mark.parametrize("octet", [0x20, *range(0x80, 0x100)])
def test_a_space_or_a_raw_byte_above_ascii_is_refused(octet: int) -> None:
    for place in (b"/a%cb", b"/a?b%c", b"%c/a", b"/%c"):
        assert refusal_of(place % octet) is Reason.MALFORMED_REQUEST


@pytest.mark.parametrize("octet", range(0x80, 0x100))
def test_an_escape_that_is_no_utf8_is_refused(octet: int) -> None:
    assert refusal_of(b"/a%%%02Xb" % octet) is Reason.AMBIGUOUS_PATH


@pytest.mark.parametrize(
    "escape", [b"%C0%AF", b"%E0%80%AF", b"%F0%80%80%AF", b"%ED%A0%80", b"%F4%90%80%80", b"%C3", b"%C3/%A9"]
)
def test_overlong_cut_and_surrogate_utf8_is_refused(escape: bytes) -> None:
    assert refusal_of(b"/a" + escape + b"b") is Reason.AMBIGUOUS_PATH


@pytest.mark.parametrize("character", [b'"', b"<", b">", b"^", b"`", b"{", b"|", b"}", b"[", b"]"])
def test_a_character_outside_the_grammar_is_refused_and_accepted_encoded(character: bytes) -> None:
    assert refusal_of(b"/a" + character) is Reason.MALFORMED_REQUEST
    escape = b"%%%02X" % character[0]
    assert parse_target(b"/a" + escape, HOST).target == b"/a" + escape


@pytest.mark.parametrize(
    "target",
    [
        b"/a;x=1",
        b"/..;/a",
        b"/a%3bx",
        b"/a%3Bx",
        b"/;",
        b"/a\\b",
        b"/a%5cb",
        b"/a#",
        b"/a#b",
        b"/a?b#c",
        b"/#",
        b"/a%C2%85b",
    ],
)
def test_parameters_backslashes_fragments_and_line_ends_are_refused(target: bytes) -> None:
    assert refusal_of(target) is Reason.AMBIGUOUS_PATH


@pytest.mark.parametrize("character", "．／＼；％․‥…﹒﹔﹨﹪⁄∕∖⧵⧸⧹;℀⒈¥￥₩٪︰½\u2028\u2029\u0080\u009f")
def test_a_character_that_folds_into_syntax_is_refused(character: str) -> None:
    escaped = "".join(f"%{octet:02x}" for octet in character.encode())
    for place in ("/{}", "/a{}b", "/a/{}{}/b", "/é{}"):
        target = place.replace("é", "%C3%A9").format(escaped, escaped).encode()
        assert refusal_of(target) is Reason.AMBIGUOUS_PATH


@pytest.mark.parametrize(
    "target",
    [
        b"", b"*", b"api.example.com:443", b"api.example.com", b"a/b", b"?x", b"ftp://api.example.com/",
        b"http:/a", b"http:a",
        b"\\\\a", b"javascript:x",
    ],
)  # fmt: skip
def test_a_target_without_a_path_of_its_own_is_refused(target: bytes) -> None:
    assert refusal_of(target) is Reason.MALFORMED_REQUEST


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://api.example.com", b"/"),
        (b"http://api.example.com?q", b"/?q"),
        (b"http://api.example.com/", b"/"),
        (b"https://api.example.com/%61?q", b"/a?q"),
        (b"HTTP://API.Example.COM/a", b"/a"),
    ],
)
def test_absolute_form_becomes_origin_form_where_it_names_the_same_host(
    target: bytes, expected: bytes
) -> None:
    seen = parse_target(target, HOST)
    assert (seen.target, seen.authority) == (expected, HOST)


@pytest.mark.parametrize(
    "target",
    [
        b"http://evil.example/a",
        b"http://api.example.com:80/a",
        b"http://api.example.com:8080/a",
        b"http://api.example.com./a",
        b"http://user@api.example.com/a",
        b"http://api.example.com@evil.example/",
        b"http:///a",
        b"http://",
        b"http://%61pi.example.com/",
    ],
)
def test_absolute_form_with_another_authority_is_refused(target: bytes) -> None:
    assert refusal_of(target) is Reason.AMBIGUOUS_HOST


@pytest.mark.parametrize(
    "target", [b"http://api.example.com//a", b"http://api.example.com/../a", b"http://api.example.com\\a"]
)
def test_absolute_form_hides_nothing(target: bytes) -> None:
    assert refusal_of(target) is Reason.AMBIGUOUS_PATH


def test_a_refusal_says_what_to_do_and_echoes_nothing() -> None:
    for target in (b"/secret-name\x1b[31m", b"/secret-name;x", b"/secret-name%", b"secret-name"):
        with pytest.raises(RequestError) as refused:
            parse_target(target, HOST)
        assert "secret" not in refused.value.detail
        assert refused.value.detail.isprintable()
        assert len(refused.value.detail) > 20


# Pieces that an attacker would put together, and harmless ones between them.
PIECES = [
    ".", "..", "/", "a", "%", "2", "5", "e", "%2e", "%2F", "%25", "%5c", "%20", "%C3%A9", "%41", "%7e",
    "%c0", "%ae", "%3B", "%3a", "+",
    "%E2%80%8B", "%CC%81", "%EF%BC%8E", "%E2%80%A6", "%00", "=", "~", "u",
]  # fmt: skip
claimed_paths = st.lists(st.sampled_from(PIECES), max_size=10).map(lambda pieces: "/" + "".join(pieces))
printable_paths = st.text(alphabet=string.printable, max_size=20).map(lambda text: "/" + text)


def accepted(target: str) -> Target | None:
    try:
        return parse_target(target.encode(), HOST)
    except RequestError:
        return None


@given(claimed_paths | printable_paths)
def test_reading_a_canonical_target_again_changes_nothing(target: str) -> None:
    seen = accepted(target)
    if seen is not None:
        assert parse_target(seen.target, seen.authority) == seen
        assert canonical_path(seen.path.encode()) == seen.path.encode()


@given(claimed_paths | printable_paths)
def test_decoding_an_accepted_path_again_finds_no_other_segments(target: str) -> None:
    seen = accepted(target)
    if seen is None:
        return
    once = unquote(seen.path, errors="strict")
    for decoded in (once, unquote(once), unquote(unquote(once))):
        assert posixpath.normpath(decoded) == (decoded.rstrip("/") or "/")
        assert decoded.count("/") == seen.path.count("/") + seen.path.count("%2F")
        assert "\\" not in decoded
        assert "\0" not in decoded


@given(claimed_paths)
def test_a_canonical_path_needs_no_escaping_in_a_record(target: str) -> None:
    seen = accepted(target)
    if seen is not None:
        assert seen.path.isascii()
        assert seen.path.isprintable()
        assert not set(seen.path) & set("\"\\<> '\n") - {"'"}


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_whatever_comes_is_read_or_refused(target: bytes, host: bytes) -> None:
    try:
        parse_target(target, host)
    except RequestError:
        pass


@pytest.mark.parametrize(
    "piece", [b"/a", b"%20a", b"%2e", b"%25", b".", b"a", b"/. ", b"%E8%AA%9E", b"%2Fa", b"/.a", b"%"]
)
def test_the_cost_of_a_hostile_target_stays_in_proportion(piece: bytes) -> None:
    def cost(length: int) -> float:
        target = b"/x" + piece * (length // len(piece))
        best = 1.0
        for _ in range(5):
            start = perf_counter()
            try:
                parse_target(target, HOST)
            except RequestError:
                pass
            best = min(best, perf_counter() - start)
        return best

    # Ten times the length: a quadratic reader would need a hundred times as long.
    assert cost(80_000) < 40 * cost(8_000) + 0.005


def test_target_that_was_read_before_is_the_same_for_the_same_host_only() -> None:
    for host in (b"a.example.com", b"b.example.com", b"a.example.com"):
        assert parse_target(b"/known", host).host == host.decode()
    for _ in range(2):  # a refusal is not remembered as anything else
        with pytest.raises(RequestError):
            parse_target(b"/a/../b", HOST)


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_only_short_targets_are_remembered(excess: int) -> None:
    _parse_known.cache_clear()
    target = b"/" + b"a" * (MAX_KNOWN_BYTES - len(HOST) - 1 + excess)
    assert parse_target(target, HOST) == parse_target(target, HOST)
    assert _parse_known.cache_info().currsize == (0 if excess > 0 else 1)


def test_targets_without_end_take_no_memory() -> None:
    for number in range(MAX_KNOWN_TARGETS + 10):
        assert parse_target(b"/%d" % number, HOST).target == b"/%d" % number
    assert _parse_known.cache_info().currsize == MAX_KNOWN_TARGETS
