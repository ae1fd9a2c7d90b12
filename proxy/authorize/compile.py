"""
A policy becomes something that answers.

Law: deny is asked before allow, and the answer is no where nothing matched. A deny rule that
cannot be evaluated denies (its identity might be just the one it was written against); an allow
rule that cannot be evaluated does not match. Every `Decision` is built here, none per request.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from proxy.authorize.matchers import Verdict
from proxy.authorize.roles import RoleMapper
from proxy.authorize.rules import Condition, Effect, Test, compile_conditions
from proxy.model.decision import DENIALS, Decision, Reason
from proxy.model.identity import Identity
from proxy.model.policy import Policy, Rule
from proxy.model.request import Request

PUBLIC: Final = Decision(allowed=True, reason=Reason.PUBLIC)
_NOBODY: Final = DENIALS[Reason.CREDENTIAL_MISSING]
_NOTHING_MATCHED: Final = DENIALS[Reason.NO_RULE_MATCHED]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledRule:
    """
    One rule with the decisions it can lead to.

    `tests` are those of `conditions`. `unclear` is the decision where no condition is known not to
    hold and some cannot be evaluated; None in an allow rule, which then does not match.
    """

    name: str
    conditions: tuple[Condition, ...]
    tests: tuple[Test, ...]
    holds: Decision
    unclear: Decision | None

    def verdict(self, identity: Identity, request: Request, now: float) -> Verdict:
        """Return False if a condition is known not to hold, else None if one is unclear, else True."""
        answer: Verdict = True
        for test in self.tests:
            verdict = test(identity, request, now)
            if verdict is False:
                return False
            if verdict is not True:
                answer = None
        return answer


class CompiledPolicy:
    """The rules of one route, ready to decide."""

    __slots__ = ("_allow", "_deny", "allow", "deny", "public", "route")

    def __init__(
        self, route: str, *, public: bool, allow: tuple[CompiledRule, ...], deny: tuple[CompiledRule, ...]
    ) -> None:
        self.route = route
        self.public = public
        self.allow = allow
        self.deny = deny
        self._allow = tuple((rule.tests, rule.holds) for rule in allow)
        self._deny = deny

    def decide(self, identity: Identity | None, request: Request, now: float) -> Decision:
        """Return the prebuilt answer for this identity and request."""
        if identity is None or self.public:
            return PUBLIC if self.public else _NOBODY
        for rule in self._deny:
            verdict = rule.verdict(identity, request, now)
            if verdict is not False:
                return rule.holds if verdict or rule.unclear is None else rule.unclear
        for tests, holds in self._allow:
            for test in tests:
                if test(identity, request, now) is not True:
                    break
            else:
                return holds
        return _NOTHING_MATCHED

    def __repr__(self) -> str:
        rules = "public" if self.public else f"{len(self.allow)} allow, {len(self.deny)} deny"
        return f"<CompiledPolicy {self.route} [{rules}]>"


def compile_policy(policy: Policy, mapper: RoleMapper) -> CompiledPolicy:
    """Return what decides for one route; ValueError names the rule that cannot be compiled."""
    if policy.public and (policy.allow or policy.deny):
        raise ValueError(f"route `{policy.route}` is public and has rules; a public route asks nobody")
    return CompiledPolicy(
        policy.route,
        public=policy.public,
        allow=tuple(_rules(policy.route, Effect.ALLOW, policy.allow, mapper)),
        deny=tuple(_rules(policy.route, Effect.DENY, policy.deny, mapper)),
    )


def compile_rule(name: str, effect: Effect, rule: Rule, mapper: RoleMapper) -> CompiledRule:
    """Return one rule under its name in records; ValueError says why it cannot be compiled."""
    try:
        conditions = compile_conditions(rule, effect, mapper)
    except ValueError as error:
        raise ValueError(f"rule `{name}`: {error}") from error
    allow = effect is Effect.ALLOW
    return CompiledRule(
        name=name,
        conditions=conditions,
        tests=tuple(condition.test for condition in conditions),
        holds=Decision(allow, Reason.ALLOWED if allow else Reason.DENIED_BY_RULE, name),
        unclear=None if allow else Decision(allowed=False, reason=Reason.CLAIM_MISSING, rule=name),
    )


def rule_name(route: str, effect: Effect, index: int) -> str:
    """Return what a rule is called in decisions and messages: `deployments.allow[0]`."""
    return f"{route}.{effect.value}[{index}]"


def _rules(route: str, effect: Effect, rules: Iterable[Rule], mapper: RoleMapper) -> Iterable[CompiledRule]:
    for index, rule in enumerate(rules):
        yield compile_rule(rule_name(route, effect, index), effect, rule, mapper)
