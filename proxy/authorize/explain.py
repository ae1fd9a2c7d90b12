"""
Why a request would be decided as it would.

Law: nothing here decides. Every verdict comes from the table, the bindings and the conditions that
the data plane asks, so an explanation cannot be kinder or stricter than the proxy.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from proxy.authorize.compile import CompiledPolicy, CompiledRule
from proxy.authorize.matchers import Verdict, show
from proxy.authorize.moment import rfc3339
from proxy.authorize.roles import CompiledBinding, RoleMapper
from proxy.authorize.routing import RouteTable, mismatch
from proxy.model.decision import DENIALS, Decision, Reason
from proxy.model.identity import Identity
from proxy.model.request import Request

T = TypeVar("T")

SHOWN_MISSES = 20
"""Routes that do not match and are listed all the same, the nearest misses first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One condition: what is asked, the verdict, and the value that was compared."""

    label: str
    verdict: Verdict
    actual: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingSeen:
    """One binding of the identity's issuer, and whether it gives its role."""

    role: str
    index: int
    gives: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSeen:
    """One route and what kept it from being chosen; `why` is None for the chosen one."""

    name: str
    matches: bool
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSeen:
    """One rule of the chosen route; `verdict` None means that it cannot be evaluated."""

    name: str
    verdict: Verdict
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that was looked at on the way to `decision`."""

    request: str
    identity: str | None
    roles: tuple[str, ...]
    bindings: tuple[BindingSeen, ...]
    routes: tuple[RouteSeen, ...]
    routes_left_out: int
    route: str | None
    is_public: bool
    rules: tuple[RuleSeen, ...]
    decision: Decision


def explain(
    *,
    table: RouteTable[T],
    policy_of: Callable[[T], CompiledPolicy],
    mapper: RoleMapper,
    identity: Identity | None,
    request: Request,
    now: float,
    must_name: frozenset[str] = frozenset(),
) -> Explanation:
    """
    Return what happens to the request and why.

    `policy_of` gives the policy behind a value of the table; `must_name` is what the profile of the
    identity's issuer asks of a binding for this token.
    """
    found = table.find(request.host, request.path, request.method)
    policy = None if found is None else policy_of(found)
    chosen = None if policy is None else policy.route
    routes, left_out = _routes(table, request, chosen)
    return Explanation(
        request=f"{request.method} {request.host}{request.path}",
        identity=None if identity is None else _who(identity),
        roles=() if identity is None else tuple(sorted(identity.roles)),
        bindings=() if identity is None else tuple(_bindings(mapper, identity, must_name, now)),
        routes=routes,
        routes_left_out=left_out,
        route=chosen,
        is_public=policy is not None and policy.public,
        rules=() if policy is None else tuple(_rules(policy, identity, request, now)),
        decision=DENIALS[Reason.NO_ROUTE] if policy is None else policy.decide(identity, request, now),
    )


def explain_binding(
    binding: CompiledBinding, identity: Identity, must_name: frozenset[str], now: float
) -> BindingSeen:
    """Return why one binding does or does not give its role to the identity."""
    claims, groups = identity.claims, identity.groups
    checks = [
        Check(label=condition.label, verdict=condition.test(claims), actual=show(condition.look_up(claims)))
        for condition in binding.conditions
    ]
    if binding.groups:
        held = "the token does not say" if groups is None else show(sorted(groups))
        label = f"groups hold one of {show(sorted(binding.groups))}"
        checks.append(Check(label=label, verdict=binding.holds_groups(groups), actual=held))
    if must_name:
        label = f"the binding compares {_listed(must_name)}, which this token asks for"
        named = _listed(binding.names) or "none"
        checks.append(Check(label=label, verdict=must_name <= binding.names, actual=named))
    if binding.expires_at != math.inf:
        label = f"before {rfc3339(binding.expires_at)}"
        checks.append(Check(label=label, verdict=now < binding.expires_at, actual=rfc3339(now)))
    return BindingSeen(
        role=binding.role,
        index=binding.index,
        gives=binding.matches(claims, groups, must_name, now),
        checks=tuple(checks),
    )


def _bindings(
    mapper: RoleMapper, identity: Identity, must_name: frozenset[str], now: float
) -> Iterable[BindingSeen]:
    for binding in mapper.bindings_of(identity.issuer):
        yield explain_binding(binding, identity, must_name, now)


def _routes(table: RouteTable[T], request: Request, chosen: str | None) -> tuple[tuple[RouteSeen, ...], int]:
    """Return the routes worth showing, the chosen one first, and how many were left out."""
    matching: list[RouteSeen] = []
    missed: list[tuple[int, RouteSeen]] = []
    for route, _ in table.entries:
        miss = mismatch(route, request.host, request.path, request.method)
        if miss is not None:
            missed.append((miss[0], RouteSeen(name=route.name, matches=False, why=miss[1])))
        elif route.name == chosen:
            matching.insert(0, RouteSeen(name=route.name, matches=True, why=None))
        else:
            matching.append(RouteSeen(name=route.name, matches=True, why=_passed_over(chosen)))
    missed.sort(key=lambda ranked: ranked[0])
    shown = [seen for _, seen in missed[:SHOWN_MISSES]]
    return (*matching, *shown), len(missed) - len(shown)


def _passed_over(chosen: str | None) -> str:
    if chosen is None:
        return "a more specific route names no methods, and does not take this one"
    return f"`{chosen}` is more specific"


def _rules(
    policy: CompiledPolicy, identity: Identity | None, request: Request, now: float
) -> Iterable[RuleSeen]:
    if identity is None:  # no rule is asked about nobody
        return
    for rule in (*policy.deny, *policy.allow):
        yield _rule(rule, identity, request, now)


def _rule(rule: CompiledRule, identity: Identity, request: Request, now: float) -> RuleSeen:
    checks = (
        Check(
            label=condition.label,
            verdict=condition.test(identity, request, now),
            actual=condition.actual(identity, request),
        )
        for condition in rule.conditions
    )
    return RuleSeen(name=rule.name, verdict=rule.verdict(identity, request, now), checks=tuple(checks))


def _who(identity: Identity) -> str:
    # The subject comes from outside: `show` keeps its control sequences off the terminal.
    return f"{identity.issuer} {show(identity.subject)} ({identity.kind.value})"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in sorted(values))
