import itertools

import pytest

from proxy.authorize.patterns import parse_path
from proxy.authorize.trie import MAX_STEPS, PathTrie


def trie_of(*patterns: str) -> PathTrie[str]:
    trie: PathTrie[str] = PathTrie()
    for pattern in patterns:
        trie.leaf(parse_path(pattern)).any_method = pattern
    return trie


EVERYTHING = ("/**", "/*", "/a", "/a/**", "/a/*", "/a/b", "/a/*/c", "/*/b/c", "/a/b/**", "/*/*/*", "/")


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/", "/"),
        ("/a", "/a"),
        ("/a/", "/a"),
        ("/z", "/*"),
        ("/a/b", "/a/b"),
        ("/a/z", "/a/*"),
        ("/a/b/c", "/a/b/**"),
        ("/a/z/c", "/a/*/c"),
        ("/a/z/d", "/a/**"),
        ("/z/b/c", "/*/b/c"),
        ("/z/z/c", "/*/*/*"),
        ("/z/z", "/**"),
        ("/z/z/z/z", "/**"),
        ("/a//c", "/a/**"),
        ("//", "/**"),
        ("*", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("order", [EVERYTHING, EVERYTHING[::-1]])
def test_first_more_exact_segment_wins(order: tuple[str, ...], path: str, pattern: str | None) -> None:
    assert trie_of(*order).find(path, "GET") == pattern


def test_lookup_goes_back_to_less_specific_patterns() -> None:
    trie = trie_of("/a/b/c", "/a/*/d", "/*/b/e", "/**")
    assert trie.find("/a/b/d", "GET") == "/a/*/d"
    assert trie.find("/a/b/e", "GET") == "/*/b/e"
    assert trie.find("/a/b/f", "GET") == "/**"


def test_named_method_beats_any_method_and_falls_back() -> None:
    trie = trie_of("/a", "/**")
    trie.leaf(parse_path("/a")).by_method["GET"] = "GET /a"
    trie.leaf(parse_path("/b")).by_method["GET"] = "GET /b"
    assert trie.find("/a", "GET") == "GET /a"
    assert trie.find("/a", "HEAD") == "/a"
    assert trie.find("/b", "HEAD") == "/**"


def mixtures(depth: int) -> PathTrie[str]:
    """Every mixture of `a` and `*`, ending so that the path `/a/a/…/z` tries them all in vain."""
    return trie_of(*("/" + "/".join(parts) + "/end" for parts in itertools.product("a*", repeat=depth)))


def test_steps_bound_what_the_worst_path_visits() -> None:
    trie = mixtures(3)
    assert trie.steps() == 1 + 2 + 4 + 8 + 8
    trie.check_bound("this test")


def test_explosion_of_wildcards_is_refused() -> None:
    trie = mixtures(9)
    assert trie.steps() > MAX_STEPS
    with pytest.raises(ValueError, match="the paths of host `x` mix `\\*` and names at so many levels"):
        trie.check_bound("host `x`")


def test_many_patterns_side_by_side_add_no_steps() -> None:
    assert trie_of(*(f"/api/*/items{number}/**" for number in range(2000))).steps() == 4


def test_path_far_deeper_than_the_patterns_matches_only_the_rest() -> None:
    trie = trie_of("/a/**", "/a/a")
    assert trie.find("/a" * 5000, "GET") == "/a/**"
    assert trie_of("/a/a").find("/a" * 5000, "GET") is None


def test_empty_trie_finds_nothing() -> None:
    assert trie_of().find("/", "GET") is None
    assert trie_of().find("/a/b", "GET") is None
