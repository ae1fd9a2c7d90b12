"""What goes upstream instead: mechanical, and itself canonical."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RequestError
from proxy.model.route import Rewrite
from proxy.settings.origins import _PREFIX
from proxy.wire.rewrite import rewritten_path, rewritten_target
from proxy.wire.target import parse_target

STRIP = Rewrite(segments=1)
BOTH = Rewrite(segments=2, prefix="/x/y")


@pytest.mark.parametrize(
    ("rewrite", "target", "sent"),
    [
        (STRIP, b"/a", b"/"),
        (STRIP, b"/a/", b"/"),
        (STRIP, b"/a/b", b"/b"),
        (STRIP, b"/a/b/", b"/b/"),
        (STRIP, b"/a?q=/a/b", b"/?q=/a/b"),
        (STRIP, b"/a%3Ab/c%2Fd?e?f", b"/c%2Fd?e?f"),
        (STRIP, b"/a/a/a", b"/a/a"),
        (BOTH, b"/a/b", b"/x/y"),
        (BOTH, b"/a/b/", b"/x/y/"),
        (BOTH, b"/a/b/c?", b"/x/y/c?"),
        (Rewrite(prefix="/x"), b"/", b"/x/"),
        (Rewrite(prefix="/x"), b"/a", b"/x/a"),
    ],
)
def test_segments_go_and_a_prefix_comes(rewrite: Rewrite, target: bytes, sent: bytes) -> None:
    assert rewritten_target(rewrite, target) == sent
    assert rewritten_path(rewrite, target.partition(b"?")[0].decode()) == sent.partition(b"?")[0].decode()


PIECES = st.sampled_from(
    [
        *(
            "/",
            "/",
            "/",
            "a",
            "b.",
            ".",
            "..",
            "%2e",
            "%2F",
            "%2f",
            "%25",
            "%",
            "%C3%A9",
            "%E2%80%A4",
            "~",
            ":",
        ),
        *(
            "%3A",
            ";",
            "\\",
            "%5c",
            "%00",
            "?",
            "q=1",
            "#",
            "//",
            " ",
            "%20",
            "*",
            "%CC%81",
            "%EF%BC%8F",
            "...",
        ),
    ]
)
PREFIXES = st.one_of(st.just(""), st.from_regex(_PREFIX, fullmatch=True))


@given(st.lists(PIECES, max_size=14).map("".join), PREFIXES, st.integers(0, 4))
def test_what_was_read_one_way_is_still_read_one_way(text: str, prefix: str, segments: int) -> None:
    try:
        read = parse_target(b"/" + text.encode(), b"a.example")
    except RequestError:
        return
    if len([part for part in read.path.split("/") if part]) < segments:
        return  # no route with such a prefix would have matched
    sent = rewritten_target(Rewrite(segments=segments, prefix=prefix), read.target)
    again = parse_target(sent, b"a.example")
    assert again.target == sent
    assert again.path == rewritten_path(Rewrite(segments=segments, prefix=prefix), read.path)
    assert again.path.startswith(prefix or "/")
    assert "//" not in again.path
    assert not {".", ".."} & set(again.path.split("/"))
