import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.authorize.matchers import compile_matcher, describe, show
from proxy.model.policy import Contains, Matcher, OneOf, Prefix, Scalar
from tests.authorize.nouns import contains, one_of, prefix

NAN = float("nan")
INFINITY = float("inf")

# (matcher, claim, verdict); None: nobody can tell.
VERDICTS: list[tuple[Matcher, object, bool | None]] = [
    (one_of("main"), "main", True),
    (one_of("main"), "Main", False),
    (one_of("main"), "main ", False),
    (one_of("main"), "", False),
    (one_of("main", "stable"), "stable", True),
    (one_of("true"), "true", True),
    (one_of("true"), True, None),
    (one_of("1"), 1, None),
    (one_of("main"), ["main"], None),
    (one_of("main"), {"main": "main"}, None),
    (one_of("main"), None, None),
    (one_of(True), True, True),
    (one_of(True), False, False),
    (one_of(True), "true", None),
    (one_of(True), 1, None),
    (one_of(True), 1.0, None),
    (one_of(False), 0, None),
    (one_of(False), "", None),
    (one_of(1), 1, True),
    (one_of(1), 1.0, True),
    (one_of(1.0), 1, True),
    (one_of(1), 2, False),
    (one_of(1), True, None),
    (one_of(0), False, None),
    (one_of(1), "1", None),
    (one_of(10**400), 10**400, True),
    (one_of(2**53), 2**53 + 1, False),
    (one_of(2.0**53), 2**53 + 1, False),
    (one_of(1), NAN, None),
    (one_of(1), INFINITY, None),
    (one_of(1), -INFINITY, None),
    (one_of("1", 1), "1", True),
    (one_of("1", 1), 1, True),
    (one_of("1", 1), True, None),
    (one_of("1", True), 1, None),
    (one_of("1", True), False, False),
    (contains("admins"), ["admins"], True),
    (contains("admins"), ["users", "admins"], True),
    (contains("admins"), ("admins",), True),
    (contains("admins"), ["users"], False),
    (contains("admins"), [], False),
    (contains("admins", "owners"), ["owners"], True),
    (contains("admins"), "admins", None),
    (contains("a"), "admins", None),
    (contains("admins"), {"admins": 1}, None),
    (contains("admins"), None, None),
    (contains("admins"), [["admins"]], None),
    (contains("admins"), [{"name": "admins"}], None),
    (contains("admins"), [1, 2], None),
    (contains("admins"), [None, "admins"], True),
    (contains(1), [True], None),
    (contains(1), [2, 1.0], True),
    (contains(1), [NAN], None),
    (contains(True), [1], None),
    (prefix("acme"), "acme", True),
    (prefix("acme"), "acme/app", True),
    (prefix("acme"), "acme/", True),
    (prefix("acme"), "acme-evil/app", False),
    (prefix("acme"), "acm", False),
    (prefix("acme"), "evil/acme/app", False),
    (prefix("acme"), "ACME/app", False),
    (prefix("acme/"), "acme", True),
    (prefix("acme/"), "acme/app", True),
    (prefix("acme/"), "acme-evil", False),
    (prefix("acme//"), "acme/app", True),
    (prefix("acme/team"), "acme/team/app", True),
    (prefix("acme/team"), "acme/team-b", False),
    (prefix("spiffe://prod"), "spiffe://prod/ns/pay", True),
    (prefix("repo", separator="::"), "repo::x", True),
    (prefix("repo", separator="::"), "repo:x", False),
    (prefix("acme"), ["acme"], None),
    (prefix("acme"), None, None),
    (prefix("1"), 1, None),
]


@pytest.mark.parametrize(("matcher", "claim", "verdict"), VERDICTS)
def test_comparison_is_typed_and_three_valued(matcher: Matcher, claim: object, verdict: bool | None) -> None:
    assert compile_matcher("c", matcher)({"c": claim}) is verdict
    assert compile_matcher("/deep/0", matcher)({"deep": [claim]}) is verdict


@pytest.mark.parametrize("matcher", [one_of("x"), one_of(1), one_of(True), contains("x"), prefix("x")])
@pytest.mark.parametrize("name", ["c", "/c/d"])
def test_missing_claim_cannot_be_evaluated(matcher: Matcher, name: str) -> None:
    assert compile_matcher(name, matcher)({"other": "x", "C": "x"}) is None


@pytest.mark.parametrize(
    ("matcher", "message"),
    [
        (OneOf(values=()), "claim `c` is compared with nothing; name at least one value"),
        (Contains(values=()), "claim `c` is compared with nothing; name at least one value"),
        (one_of(NAN), "claim `c` is compared with `nan`, which is not a JSON number"),
        (contains(INFINITY), "claim `c` is compared with `inf`, which is not a JSON number"),
        (
            Prefix(prefix="acme", separator=""),
            "claim `c` has a prefix without separator: `acme` would match `acme-evil` as well",
        ),
        (prefix(""), "claim `c` has the prefix ``, which every value has"),
        (prefix("/"), "claim `c` has the prefix `/`, which every value has"),
    ],
)
def test_matcher_that_says_nothing_does_not_compile(matcher: Matcher, message: str) -> None:
    with pytest.raises(ValueError, match="claim") as caught:
        compile_matcher("c", matcher)
    assert str(caught.value) == message


def test_empty_text_is_a_value() -> None:
    assert compile_matcher("c", one_of(""))({"c": ""}) is True


@pytest.mark.parametrize(
    ("matcher", "words"),
    [
        (one_of("42"), 'is "42"'),
        (one_of(42), "is 42"),
        (one_of("true", True), 'is one of "true", true'),
        (contains("admins"), 'holds "admins"'),
        (contains("a", "b"), 'holds one of "a", "b"'),
        (prefix("acme/"), 'is "acme" or starts with "acme/"'),
    ],
)
def test_matcher_is_described_with_its_types(matcher: Matcher, words: str) -> None:
    assert describe(matcher) == words


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "missing"),
        ("true", '"true"'),
        (True, "true"),
        (["a", 1], '["a", 1]'),
        ("\x1b[2Jé\n\x7f\u202e", '"\\u001b[2J\\u00e9\\n\\u007f\\u202e"'),
    ],
)
def test_shown_claim_is_json_without_control_characters(value: object, shown: str) -> None:
    assert show(value) == shown


def test_long_claim_is_cut() -> None:
    assert len(show("x" * 10_000)) < 200
    assert show("x" * 10_000).endswith("(10002 characters)")


scalars: st.SearchStrategy[Scalar] = st.one_of(
    st.text(max_size=3), st.integers(-2, 2), st.sampled_from([-1.0, 0.0, 0.5, 1.0]), st.booleans()
)
json_values: st.SearchStrategy[Any] = st.recursive(  # Any: JSON
    scalars | st.none() | st.just(NAN), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


def json_type(value: object) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    return "number" if isinstance(value, int | float) and value == value else None


def equal(one: object, other: object) -> bool:
    """Compare as the texts of JSON compare, numbers by value."""
    if json_type(one) == json_type(other) == "number":
        return one == other
    return json_type(one) == json_type(other) is not None and json.dumps(one) == json.dumps(other)


@given(st.lists(scalars, min_size=1, max_size=4), json_values)
def test_one_of_agrees_with_comparing_each(values: list[Scalar], claim: object) -> None:
    verdict = compile_matcher("c", one_of(*values))({"c": claim})
    if json_type(claim) in {json_type(value) for value in values} - {None}:
        assert verdict is any(equal(claim, value) for value in values)
    else:
        assert verdict is None


@given(st.lists(scalars, min_size=1, max_size=3), st.lists(json_values, max_size=4))
def test_contains_agrees_with_one_of_for_each(values: list[Scalar], claim: list[object]) -> None:
    verdicts = [compile_matcher("c", one_of(*values))({"c": element}) for element in claim]
    verdict = compile_matcher("c", contains(*values))({"c": claim})
    expected = True if True in verdicts else None if None in verdicts else False
    assert verdict is expected


@given(st.text("ab/", min_size=1, max_size=4), st.text("ab/", max_size=6))
def test_prefix_ends_at_a_separator(start: str, claim: str) -> None:
    if not start.strip("/"):
        return
    verdict = compile_matcher("c", prefix(start))({"c": claim})
    assert verdict is (f"{claim}/".startswith(start.rstrip("/") + "/"))
