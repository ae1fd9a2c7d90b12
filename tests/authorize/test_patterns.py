import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.authorize.patterns import (
    MAX_SEGMENTS,
    HostPattern,
    PathPattern,
    parse_host,
    parse_path,
    split_path,
)
from proxy.errors import RequestError
from proxy.wire.target import canonical_path


@pytest.mark.parametrize(
    ("text", "segments", "rest"),
    [
        ("/", (), False),
        ("/**", (), True),
        ("/**/", (), True),
        ("/*", (None,), False),
        ("/a", ("a",), False),
        ("/a/", ("a",), False),
        ("/a/*/c", ("a", None, "c"), False),
        ("/a/**", ("a",), True),
        ("/a/*/**", ("a", None), True),
        ("/%61%2e%7E", ("a.~",), False),
        ("/a%2fb", ("a%2Fb",), False),
        ("/caf\u00e9", ("caf%C3%A9",), False),
        ("/caf%c3%a9", ("caf%C3%A9",), False),
        ("/a b", ("a%20b",), False),
        ('/"<>[]^`{|}', ("%22%3C%3E%5B%5D%5E%60%7B%7C%7D",), False),
        ("/jobs/7:cancel", ("jobs", "7:cancel"), False),
        ("/jobs/7%3Acancel", ("jobs", "7:cancel"), False),
        ("/%2A", ("*",), False),
        ("/%2a%2A", ("**",), False),
        ("/100%25", ("100%25",), False),
        ("/.well-known/x", (".well-known", "x"), False),
    ],
)
def test_path_is_brought_into_canonical_form(text: str, segments: tuple[str | None, ...], rest: bool) -> None:
    assert parse_path(text) == PathPattern(segments, rest)


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "does not start with `/`"),
        ("a/b", "does not start with `/`"),
        ("*", "does not start with `/`"),
        ("**", "does not start with `/`"),
        ("/a?b=c", "holds `?` or `#`"),
        ("/a#b", "holds `?` or `#`"),
        ("//", "can never match"),
        ("/a//b", "can never match"),
        ("//a", "can never match"),
        ("/a//", "can never match"),
        ("/a/../b", "can never match"),
        ("/a/%2e%2E/b", "can never match"),
        ("/.", "can never match"),
        ("/a/..", "can never match"),
        ("/a;b", "can never match"),
        ("/a%3Bb", "can never match"),
        ("/a\\b", "can never match"),
        ("/a%5cb", "can never match"),
        ("/a%00", "can never match"),
        ("/a%0A", "can never match"),
        ("/a\n", "can never match"),
        ("/a\x7f", "can never match"),
        ("/a%", "can never match"),
        ("/a%g0", "can never match"),
        ("/a%ff", "can never match"),
        ("/a%252e", "can never match"),
        ("/a\ud800", "can never match"),
        ("/%2F/a", "can never match"),
        ("/**/a", "has `**` in the middle"),
        ("/**/**", "has `**` in the middle"),
        ("/a*", "has `*` in a longer segment"),
        ("/***", "has `*` in a longer segment"),
        ("/*.txt", "has `*` in a longer segment"),
        ("/x" * (MAX_SEGMENTS + 1), f"has {MAX_SEGMENTS + 1} segments"),
    ],
)
def test_path_that_can_never_match_is_an_error(text: str, because: str) -> None:
    with pytest.raises(ValueError, match="path `") as caught:
        parse_path(text)
    assert because in str(caught.value)
    assert str(caught.value).isprintable()


def test_deepest_pattern_is_accepted() -> None:
    assert len(parse_path("/x" * MAX_SEGMENTS).segments) == MAX_SEGMENTS


# (pattern, paths that match, paths that do not)
MATCHES = [
    ("/", ["/"], ["/a", "*", "", "a", "example.com:443"]),
    ("/a", ["/a", "/a/"], ["/", "/A", "/a/b", "/ab", "a", "/a%2F"]),
    ("/*", ["/a", "/a/", "/a%2Fb", "/*"], ["/", "/a/b", "//"]),
    ("/**", ["/", "/a", "/a/b/c", "/a/"], ["*", ""]),
    ("/a/*/c", ["/a/b/c", "/a/c/c/"], ["/a/c", "/a//c", "/a/b/b/c", "/b/b/c"]),
    ("/a/**", ["/a", "/a/", "/a/b", "/a/b/c/"], ["/", "/ab", "/b/a"]),
    ("/a/*/**", ["/a/b", "/a/b/c/d"], ["/a", "/a/", "/ab/c"]),
    ("/jobs/7:cancel", ["/jobs/7:cancel", "/jobs/7%3Acancel"], ["/jobs/7%253Acancel", "/jobs/7"]),
    ("/%2A", ["/*", "/%2A"], ["/a"]),
    ("/a%2Fb", ["/a%2Fb"], ["/a/b"]),
    ("/caf\u00e9", ["/caf%C3%A9"], ["/caf"]),
]


@pytest.mark.parametrize(("text", "path"), [(text, path) for text, paths, _ in MATCHES for path in paths])
def test_pattern_matches(text: str, path: str) -> None:
    assert parse_path(text).matches(path)


@pytest.mark.parametrize(("text", "path"), [(text, path) for text, _, paths in MATCHES for path in paths])
def test_pattern_does_not_match(text: str, path: str) -> None:
    assert not parse_path(text).matches(path)


@pytest.mark.parametrize("text", [text for text, _, _ in MATCHES])
def test_text_of_a_pattern_means_the_same_pattern(text: str) -> None:
    assert parse_path(str(parse_path(text))) == parse_path(text)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("/a", "/a", True),
        ("/a", "/b", False),
        ("/a", "/*", True),
        ("/a/*", "/*/b", True),
        ("/a/*", "/a", False),
        ("/a/**", "/a", True),
        ("/a/**", "/*/b/c", True),
        ("/a/**", "/b/**", False),
        ("/**", "/", True),
        ("/a/b/**", "/a", False),
    ],
)
def test_patterns_overlap_where_one_path_matches_both(one: str, other: str, overlap: bool) -> None:
    assert parse_path(one).overlaps(parse_path(other)) is overlap
    assert parse_path(other).overlaps(parse_path(one)) is overlap


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("api.example.com", HostPattern("api.example.com")),
        ("API.Example.com", HostPattern("api.example.com")),
        ("localhost", HostPattern("localhost")),
        ("127.0.0.1", HostPattern("127.0.0.1")),
        ("[0:0:0:0:0:0:0:1]", HostPattern("[::1]")),
        ("*.example.com", HostPattern("example.com", wildcard=True)),
        ("*.any.example.com", HostPattern("any.example.com", wildcard=True)),
    ],
)
def test_host_is_brought_into_canonical_form(text: str, pattern: HostPattern) -> None:
    assert parse_host(text) == pattern
    assert parse_host(str(pattern)) == pattern


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "*.",
        "**.example.com",
        "a.*.com",
        "a*.example.com",
        "*.*.example.com",
        "example.com.",
        ".example.com",
        "a..b",
        "example.com:443",
        "*.example.com:443",
        "https://example.com",
        "example.com/path",
        "b\u00fccher.example",
        "127.1",
        "*.[::1]",
        "a b",
        "x" * 64 + ".com",
    ],
)
def test_host_that_can_never_match_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="host `"):
        parse_host(text)


@pytest.mark.parametrize(
    ("text", "host", "matches"),
    [
        ("example.com", "example.com", True),
        ("example.com", "a.example.com", False),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.b.example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "aexample.com", False),
        ("*.example.com", "a.example.com.evil.net", False),
    ],
)
def test_wildcard_is_exactly_one_label(text: str, host: str, matches: bool) -> None:
    assert parse_host(text).matches(host) is matches


segments = st.text(st.characters(codec="utf-8", exclude_characters="/?#*"), min_size=1, max_size=6)


@given(st.lists(segments, min_size=1, max_size=3))
def test_literal_pattern_matches_the_request_for_it(parts: list[str]) -> None:
    """A request that sends the pattern as written, or escaped to the last byte, is what it protects."""
    text = "/" + "/".join(parts)
    try:
        pattern = parse_path(text)
    except ValueError:
        return
    everything = b"".join(b"/" if byte == 0x2F else b"%%%02x" % byte for byte in text.encode())
    try:
        sent = canonical_path(everything).decode()
    except RequestError:
        assume("%" in text)
        return
    if "%" not in text:
        assert pattern.matches(sent)
        assert pattern.matches(sent + "/")


@given(st.text("ab%2E2F3A*:/", max_size=8))
def test_canonical_pattern_is_stable(text: str) -> None:
    try:
        pattern = parse_path("/" + text)
    except ValueError:
        return
    assert parse_path(str(pattern)) == pattern


@given(st.text("a/%:", max_size=12), st.integers(0, 4))
def test_limit_never_changes_the_segments_before_it(path: str, limit: int) -> None:
    whole, cut = split_path("/" + path), split_path("/" + path, limit)
    assert whole is not None
    assert cut is not None
    assert cut[:limit] == whole[:limit]
    assert len(cut) == min(len(whole), limit + 1)
