"""
Claims become roles: the bindings of all roles, compiled and indexed by issuer.

Law: a role is only ever given by a binding that matched in full. An expired binding, a claim that
is missing or cannot be compared, and groups that the token does not tell all give nothing.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from proxy.authorize.matchers import ClaimTest, Verdict, compile_matcher, describe
from proxy.authorize.pointer import Claims, Lookup, compile_lookup, top_level_name
from proxy.model.identity import Identity, RoleGrant
from proxy.model.policy import Binding, Matcher, Role

Groups = frozenset[str] | None
Doubt = Callable[[Identity, float], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimCondition:
    """One claim that a binding or rule asks for: in words, as a test, and where its value is."""

    name: str
    label: str
    test: ClaimTest
    look_up: Lookup


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledBinding:
    """
    One binding, ready to be asked.

    `names` are the top-level claims it compares as a whole. `expires_at` is inf where it never ends.
    """

    role: str
    index: int
    issuer: str
    conditions: tuple[ClaimCondition, ...]
    tests: tuple[ClaimTest, ...]
    names: frozenset[str]
    groups: frozenset[str]
    expires_at: float

    def matches(self, claims: Claims, groups: Groups, must_name: frozenset[str], now: float) -> bool:
        """Return whether the binding gives its role: everything it states is known to hold."""
        if now >= self.expires_at or not must_name <= self.names:
            return False
        for test in self.tests:
            if test(claims) is not True:
                return False
        return not self.groups or (groups is not None and not self.groups.isdisjoint(groups))

    def holds_groups(self, groups: Groups) -> Verdict:
        """Return whether one of the binding's groups is held; None if the token does not say."""
        if not self.groups:
            return True
        return None if groups is None else not self.groups.isdisjoint(groups)

    def verdict(self, claims: Claims, groups: Groups) -> Verdict:
        """Return what is known: False if something it states is known not to hold, None if unclear."""
        verdicts = [test(claims) for test in self.tests]
        verdicts.append(self.holds_groups(groups))
        if False in verdicts:
            return False
        return None if None in verdicts else True


class RoleMapper:
    """Every binding of every role, asked once per token."""

    __slots__ = ("_by_issuer", "names")

    def __init__(self, roles: Iterable[Role]) -> None:
        """Compile all bindings; ValueError names the first that cannot be compiled."""
        compiled: dict[str, list[CompiledBinding]] = {}
        names: set[str] = set()
        for role in roles:
            names.add(role.name)
            for index, binding in enumerate(role.bindings):
                one = compile_binding(role.name, index, binding)
                compiled.setdefault(binding.issuer, []).append(one)
        self.names = frozenset(names)
        self._by_issuer = {issuer: tuple(bindings) for issuer, bindings in compiled.items()}

    def bindings_of(self, issuer: str) -> tuple[CompiledBinding, ...]:
        """Return the bindings of one issuer in the order of the configuration."""
        return self._by_issuer.get(issuer, ())

    def roles_of(
        self, issuer: str, claims: Claims, groups: Groups, must_name: frozenset[str], now: float
    ) -> RoleGrant:
        """
        Return the roles that these claims of this issuer have at `now`, and until when.

        A binding counts only if it compares every claim in `must_name`; a profile asks for that
        where a token is dangerous unless a claim was thought of (a pipeline of a fork, say).
        """
        roles: set[str] = set()
        until = math.inf
        for binding in self._by_issuer.get(issuer, ()):
            if binding.matches(claims, groups, must_name, now):
                roles.add(binding.role)
                until = min(until, binding.expires_at)
        return RoleGrant(roles=frozenset(roles), until=until)

    def compile_doubt(self, roles: frozenset[str]) -> Doubt:
        """
        Return what tells whether an identity without `roles` might have one if its token were another.

        A deny rule needs to know: `deny: [{roles: [contractor]}]` must not be passed by a token
        that leaves the groups out, nor by one that no binding counts for (`must_name`).
        """
        giving = {
            issuer: tuple(binding for binding in bindings if binding.role in roles)
            for issuer, bindings in self._by_issuer.items()
        }

        def is_unclear(identity: Identity, now: float) -> bool:
            for binding in giving.get(identity.issuer, ()):
                verdict = binding.verdict(identity.claims, identity.groups)
                if now < binding.expires_at and verdict is not False:
                    return True
            return False

        return is_unclear


def compile_binding(role: str, index: int, binding: Binding) -> CompiledBinding:
    """Return the binding ready to be asked; ValueError names role and binding."""
    where = f"roles.{role}.bindings[{index}]"
    if not binding.claims and not binding.groups:
        # Without this it would match everybody the issuer knows.
        raise ValueError(f"`{where}` states neither claims nor groups; state at least one")
    try:
        conditions = tuple(compile_claim(name, matcher) for name, matcher in binding.claims.items())
        names = frozenset(filter(None, map(top_level_name, binding.claims)))
    except ValueError as error:
        raise ValueError(f"`{where}`: {error}") from error
    return CompiledBinding(
        role=role,
        index=index,
        issuer=binding.issuer,
        conditions=conditions,
        tests=tuple(condition.test for condition in conditions),
        names=names,
        groups=binding.groups,
        expires_at=math.inf if binding.expires_at is None else binding.expires_at,
    )


def compile_claim(name: str, matcher: Matcher) -> ClaimCondition:
    """Return the condition on one claim; ValueError where it can say nothing."""
    return ClaimCondition(
        name=name,
        label=f"claim `{name}` {describe(matcher)}",
        test=compile_matcher(name, matcher),
        look_up=compile_lookup(name),
    )
