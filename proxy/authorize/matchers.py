"""
How one claim is compared, compiled into a closure.

Law: comparison is typed and three-valued. True is a match, False is none, None means that the
question cannot be answered: the claim is missing or of a type that the matcher does not speak of.
Nothing is converted on the way: GitLab says `"true"` and GitHub `"1"`, and in Python
`bool("false")` is True and `True == 1`.
"""

import json
import math
from collections.abc import Callable, Iterable

from proxy.authorize.pointer import Claims, compile_lookup, top_level_name
from proxy.model.policy import Contains, Matcher, OneOf, Prefix, Scalar

Verdict = bool | None
ClaimTest = Callable[[Claims], Verdict]
Compare = Callable[[object], Verdict]

_SHOWN = 120  # characters of a claim that a person wants to see in a terminal


def compile_matcher(name: str, matcher: Matcher) -> ClaimTest:
    """Return the test of the claim `name`; ValueError where the matcher could never say anything."""
    if isinstance(matcher, OneOf) and all(type(value) is str for value in matcher.values):
        return _one_string(name, matcher)
    look_up, compare = compile_lookup(name), compile_compare(name, matcher)
    return lambda claims: compare(look_up(claims))


def compile_compare(name: str, matcher: Matcher) -> Compare:
    """Return the comparison with a value that was already found under `name`."""
    if isinstance(matcher, OneOf):
        return _scalar(name, matcher.values)
    if isinstance(matcher, Contains):
        return _contains(_scalar(name, matcher.values))
    return _prefix(name, matcher)


def describe(matcher: Matcher) -> str:
    """Say in words what the matcher asks for."""
    if isinstance(matcher, Prefix):
        below = _stripped(matcher) + matcher.separator
        return f"is {show(_stripped(matcher))} or starts with {show(below)}"
    values = ", ".join(show(value) for value in matcher.values)
    several = len(matcher.values) > 1
    if isinstance(matcher, Contains):
        return f"holds one of {values}" if several else f"holds {values}"
    return f"is one of {values}" if several else f"is {values}"


def show(value: object) -> str:
    """
    Write a claim as JSON, so that `"true"` and `true` look as different as they are.

    Everything outside ASCII is escaped: a branch name may hold terminal control sequences.
    """
    if value is None:
        return "missing"
    text = json.dumps(value, ensure_ascii=True, default=repr)
    text = text.replace("\x7f", "\\u007f")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def _one_string(name: str, matcher: OneOf) -> ClaimTest:
    strings = frozenset(matcher.values)
    if not strings:
        raise ValueError(f"claim `{name}` is compared with nothing; name at least one value")
    top_level = top_level_name(name)
    if top_level is None:
        look_up = compile_lookup(name)
        return lambda claims: _in_strings(look_up(claims), strings)

    def test(claims: Claims) -> Verdict:
        value = claims.get(top_level)
        return value in strings if type(value) is str else None

    return test


def _in_strings(value: object, strings: frozenset[Scalar]) -> Verdict:
    return value in strings if type(value) is str else None


def _scalar(name: str, values: Iterable[Scalar]) -> Compare:
    """Compare one scalar; each JSON type has its own set, since in one set True would be 1."""
    strings: set[str] = set()
    numbers: set[int | float] = set()
    booleans: set[bool] = set()
    for value in values:
        if isinstance(value, bool):
            booleans.add(value)
        elif isinstance(value, str):
            strings.add(value)
        elif isinstance(value, int) or math.isfinite(value):
            numbers.add(value)
        else:
            raise ValueError(f"claim `{name}` is compared with `{value}`, which is not a JSON number")
    if not (strings or numbers or booleans):
        raise ValueError(f"claim `{name}` is compared with nothing; name at least one value")

    def compare(value: object) -> Verdict:
        # `type() is` and not isinstance: True is an int to isinstance.
        kind = type(value)
        if kind is str:
            return value in strings if strings else None
        if kind is bool:
            return value in booleans if booleans else None
        if kind is int or (kind is float and math.isfinite(value)):  # type: ignore[arg-type] # kind is float
            return value in numbers if numbers else None
        return None

    return compare


def _contains(compare: Compare) -> Compare:
    def contains(value: object) -> Verdict:
        # A string is a sequence of characters to Python and one value to everybody else.
        if not isinstance(value, list | tuple):
            return None
        unclear = False
        for element in value:
            verdict = compare(element)
            if verdict is True:
                return True
            unclear = unclear or verdict is None
        # `[{"name": "contractors"}]` does not hold "contractors", but nobody can say that it
        # means something else: a deny rule must not be passed by a change of shape.
        return None if unclear else False

    return contains


def _prefix(name: str, matcher: Prefix) -> Compare:
    if not matcher.separator:
        raise ValueError(
            f"claim `{name}` has a prefix without separator: `acme` would match `acme-evil` as well"
        )
    exact = _stripped(matcher)
    if not exact:
        raise ValueError(f"claim `{name}` has the prefix `{matcher.prefix}`, which every value has")
    below = exact + matcher.separator

    def compare(value: object) -> Verdict:
        if type(value) is not str:
            return None
        return value == exact or value.startswith(below)

    return compare


def _stripped(matcher: Prefix) -> str:
    """Return the prefix without its separator at the end: `acme/` and `acme` mean the same."""
    prefix = matcher.prefix
    while matcher.separator and prefix.endswith(matcher.separator):
        prefix = prefix.removesuffix(matcher.separator)
    return prefix
