"""
One rule becomes a list of conditions, one function for each kind of condition.

Law: a condition answers True, False or None, where None means that nobody can tell. A condition is
one function with its words beside it, and `explain` runs the function that the data plane runs.
A new kind of condition is one more function in `KINDS`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from proxy.authorize.matchers import Verdict, show
from proxy.authorize.patterns import parse_path
from proxy.authorize.roles import ClaimCondition, RoleMapper, compile_claim
from proxy.authorize.trie import PathTrie
from proxy.model.identity import Identity
from proxy.model.policy import Rule
from proxy.model.request import Request

Test = Callable[[Identity, Request, float], Verdict]


class Effect(Enum):
    """What happens when a rule holds."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that a rule states: in words, as a test, and the value that the test looks at."""

    label: str
    test: Test
    actual: Callable[[Identity, Request], str]


Kind = Callable[[Rule, Effect, RoleMapper], Iterable[Condition]]
"""Gives the conditions of one kind that a rule states, none where it states none."""


def issuers(rule: Rule, _effect: Effect, _mapper: RoleMapper) -> Iterable[Condition]:
    """Give the condition on the issuer of the identity."""
    if rule.issuers:
        wanted = rule.issuers
        yield Condition(
            label=f"issuer {_any_of(wanted)}",
            test=lambda identity, _request, _now: identity.issuer in wanted,
            actual=lambda identity, _request: f"`{identity.issuer}`",
        )


def roles(rule: Rule, effect: Effect, mapper: RoleMapper) -> Iterable[Condition]:
    """Give the condition on the roles of the identity."""
    if rule.roles:
        yield Condition(
            label=f"role {_any_of(rule.roles)}",
            test=_has_role(rule.roles) if effect is Effect.ALLOW else _may_have_role(rule.roles, mapper),
            actual=lambda identity, _request: _listed(identity.roles) or "no roles",
        )


def methods(rule: Rule, _effect: Effect, _mapper: RoleMapper) -> Iterable[Condition]:
    """Give the condition on the method of the request."""
    if rule.methods:
        wanted = rule.methods
        yield Condition(
            label=f"method {_any_of(wanted)}",
            test=lambda _identity, request, _now: request.method in wanted,
            actual=lambda _identity, request: f"`{request.method}`",
        )


def paths(rule: Rule, _effect: Effect, _mapper: RoleMapper) -> Iterable[Condition]:
    """Give the condition on the path of the request; matching is that of routes."""
    if rule.paths:
        patterns = [parse_path(path) for path in rule.paths]
        trie: PathTrie[bool] = PathTrie()
        for pattern in patterns:
            trie.leaf(pattern).any_method = True
        trie.check_bound("one rule")
        yield Condition(
            label=f"path {_any_of(map(str, patterns))}",
            test=lambda _identity, request, _now: trie.find(request.path, request.method) is True,
            actual=lambda _identity, request: f"`{request.path}`",
        )


def claims(rule: Rule, _effect: Effect, _mapper: RoleMapper) -> Iterable[Condition]:
    """Give one condition for each claim."""
    for name, matcher in rule.claims.items():
        yield _of_claim(compile_claim(name, matcher))


KINDS: tuple[Kind, ...] = (issuers, roles, methods, paths, claims)
"""Every kind of condition, in the order in which they are asked."""


def compile_conditions(rule: Rule, effect: Effect, mapper: RoleMapper) -> tuple[Condition, ...]:
    """Return everything that the rule states; ValueError where it states nothing or what cannot be."""
    unknown = rule.roles - mapper.names
    if unknown:
        raise ValueError(
            f"role {_listed(unknown)} is not declared; declared: {_listed(mapper.names) or 'none'}"
        )
    found = tuple(condition for kind in KINDS for condition in kind(rule, effect, mapper))
    if not found:
        # A rule without conditions holds for everybody, which nobody writes on purpose.
        raise ValueError("the rule states nothing; state at least one condition")
    if effect is Effect.ALLOW and not rule.roles:
        raise ValueError("the allow rule names no role; name at least one")
    return found


def _has_role(wanted: frozenset[str]) -> Test:
    disjoint = wanted.isdisjoint
    return lambda identity, _request, _now: not disjoint(identity.roles)


def _may_have_role(wanted: frozenset[str], mapper: RoleMapper) -> Test:
    is_unclear = mapper.compile_doubt(wanted)

    def test(identity: Identity, _request: Request, now: float) -> Verdict:
        if not wanted.isdisjoint(identity.roles):
            return True
        # Not having the role proves nothing where the token does not say what the role hangs on.
        return None if is_unclear(identity, now) else False

    return test


def _of_claim(claim: ClaimCondition) -> Condition:
    test, look_up = claim.test, claim.look_up
    return Condition(
        label=claim.label,
        test=lambda identity, _request, _now: test(identity.claims),
        actual=lambda identity, _request: show(look_up(identity.claims)),
    )


def _any_of(values: Iterable[str]) -> str:
    listed = sorted(values)
    return f"is one of {_listed(listed)}" if len(listed) > 1 else f"is {_listed(listed)}"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in sorted(values))
