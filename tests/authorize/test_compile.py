import itertools
import re
from dataclasses import replace

import pytest

from proxy.authorize.compile import CompiledPolicy, compile_policy
from proxy.authorize.roles import RoleMapper
from proxy.model.decision import DENIALS, Decision, Reason
from proxy.model.identity import Identity
from proxy.model.policy import Binding, Policy, Rule
from proxy.model.request import Request
from tests.authorize.nouns import NOW, a_request, a_role, an_identity, contains, one_of

MAPPER = RoleMapper(
    [
        a_role("deployer", Binding(issuer="gitlab", claims={"project_id": one_of("42")})),
        a_role("auditor", Binding(issuer="okta", groups=frozenset({"audit"}))),
        a_role("contractor", Binding(issuer="okta", groups=frozenset({"contractors"}))),
    ]
)


def rule(*roles: str, methods: str = "", paths: tuple[str, ...] = (), **claims: str) -> Rule:
    return Rule(
        roles=frozenset(roles),
        methods=frozenset(methods.split()),
        paths=paths,
        claims={name: one_of(value) for name, value in claims.items()},
    )


def policy(
    *, allow: tuple[Rule, ...] = (), deny: tuple[Rule, ...] = (), public: bool = False
) -> CompiledPolicy:
    return compile_policy(Policy(route="r", allow=allow, deny=deny, public=public), MAPPER)


def denied(reason: Reason, by: str | None = None) -> Decision:
    return Decision(allowed=False, reason=reason, rule=by)


def allowed(by: str) -> Decision:
    return Decision(allowed=True, reason=Reason.ALLOWED, rule=by)


NOTHING = denied(Reason.NO_RULE_MATCHED)
TWO = policy(allow=(rule("deployer", methods="GET POST"), rule("auditor", methods="GET")))
MAIN = policy(allow=(rule("deployer", ref="main"),))
FROZEN = policy(
    allow=(rule("deployer"),),
    deny=(rule(paths=("/frozen/**",)), rule(ref_protected="false", methods="POST")),
)
NO_CONTRACTORS = policy(allow=(rule("auditor"),), deny=(rule("contractor"),))
NO_GROUP = policy(allow=(rule("auditor"),), deny=(Rule(claims={"groups": contains("contractors")}),))
WITHOUT_ALLOW = policy(deny=(rule(methods="POST"),))

DECISIONS: list[tuple[CompiledPolicy, Identity | None, Request, Decision]] = [
    # Allow: the first rule that holds, and no where none does.
    (TWO, an_identity("deployer"), a_request("POST"), allowed("r.allow[0]")),
    (TWO, an_identity("auditor"), a_request("GET"), allowed("r.allow[1]")),
    (TWO, an_identity("auditor", "deployer"), a_request("GET"), allowed("r.allow[0]")),
    (TWO, an_identity("auditor"), a_request("POST"), NOTHING),
    (TWO, an_identity("Deployer"), a_request("GET"), NOTHING),
    (TWO, an_identity(), a_request("GET"), NOTHING),
    (TWO, None, a_request("GET"), denied(Reason.CREDENTIAL_MISSING)),
    # An allow rule that cannot be evaluated does not match.
    (MAIN, an_identity("deployer", claims={"ref": "main"}), a_request(), allowed("r.allow[0]")),
    (MAIN, an_identity("deployer", claims={"ref": "dev"}), a_request(), NOTHING),
    (MAIN, an_identity("deployer", claims={"ref": ["main"]}), a_request(), NOTHING),
    (MAIN, an_identity("deployer"), a_request(), NOTHING),
    # Deny comes first.
    (
        FROZEN,
        an_identity("deployer", claims={"ref_protected": "true"}),
        a_request("POST", "/x"),
        allowed("r.allow[0]"),
    ),
    (FROZEN, an_identity("deployer"), a_request(path="/frozen"), denied(Reason.DENIED_BY_RULE, "r.deny[0]")),
    (FROZEN, an_identity("deployer"), a_request(path="/frozen/"), denied(Reason.DENIED_BY_RULE, "r.deny[0]")),
    (
        FROZEN,
        an_identity("deployer", claims={"ref_protected": "false"}),
        a_request("POST", "/x"),
        denied(Reason.DENIED_BY_RULE, "r.deny[1]"),
    ),
    # A deny rule that cannot be evaluated denies, unless something definite rules it out.
    (FROZEN, an_identity("deployer"), a_request("POST", "/x"), denied(Reason.CLAIM_MISSING, "r.deny[1]")),
    (
        FROZEN,
        an_identity("deployer", claims={"ref_protected": False}),
        a_request("POST", "/x"),
        denied(Reason.CLAIM_MISSING, "r.deny[1]"),
    ),
    (FROZEN, an_identity("deployer"), a_request("GET", "/x"), allowed("r.allow[0]")),
    (
        NO_CONTRACTORS,
        an_identity("auditor", "contractor", issuer="okta", groups=frozenset({"audit", "contractors"})),
        a_request(),
        denied(Reason.DENIED_BY_RULE, "r.deny[0]"),
    ),
    (
        NO_CONTRACTORS,
        an_identity("auditor", issuer="okta", groups=frozenset({"audit"})),
        a_request(),
        allowed("r.allow[0]"),
    ),
    (
        NO_CONTRACTORS,
        an_identity("auditor", issuer="okta", groups=None),
        a_request(),
        denied(Reason.CLAIM_MISSING, "r.deny[0]"),
    ),
    (NO_CONTRACTORS, an_identity("auditor", issuer="gitlab"), a_request(), allowed("r.allow[0]")),
    (NO_GROUP, an_identity("auditor"), a_request(), denied(Reason.CLAIM_MISSING, "r.deny[0]")),
    (NO_GROUP, an_identity("auditor", claims={"groups": []}), a_request(), allowed("r.allow[0]")),
    # No allow rules: everything is denied.
    (WITHOUT_ALLOW, an_identity("deployer"), a_request("GET"), NOTHING),
    (policy(), an_identity("deployer"), a_request(), NOTHING),
    (policy(), None, a_request(), denied(Reason.CREDENTIAL_MISSING)),
    # Public: nobody is asked.
    (policy(public=True), None, a_request(), Decision(allowed=True, reason=Reason.PUBLIC)),
    (policy(public=True), an_identity(), a_request(), Decision(allowed=True, reason=Reason.PUBLIC)),
]


@pytest.mark.parametrize(("compiled", "identity", "request_", "decision"), DECISIONS)
def test_policy_decides(
    compiled: CompiledPolicy, identity: Identity | None, request_: Request, decision: Decision
) -> None:
    assert compiled.decide(identity, request_, NOW) == decision


@pytest.mark.parametrize(("compiled", "identity", "request_", "decision"), DECISIONS)
def test_decisions_are_prebuilt(
    compiled: CompiledPolicy, identity: Identity | None, request_: Request, decision: Decision
) -> None:
    first = compiled.decide(identity, request_, NOW)
    assert compiled.decide(identity, request_, NOW) is first
    assert decision.rule is not None or decision.allowed or first is DENIALS[decision.reason]


def conditions_in(states: tuple[bool | None, ...]) -> tuple[Rule, Identity]:
    """A rule with one condition on a claim for each state, and an identity that puts it there."""
    wanted = {f"c{number}": one_of("yes") for number in range(len(states))}
    said = {True: "yes", False: "no"}
    claims = {f"c{number}": said[state] for number, state in enumerate(states) if state is not None}
    return Rule(roles=frozenset({"deployer"}), claims=wanted), an_identity("deployer", claims=dict(claims))


@pytest.mark.parametrize("states", list(itertools.product([True, False, None], repeat=3)))
def test_every_mixture_of_conditions(states: tuple[bool | None, ...]) -> None:
    """Three-valued and in any order: False rules out, else None is unclear, else all hold."""
    stated, identity = conditions_in(states)
    as_allow = policy(allow=(stated,)).decide(identity, a_request(), NOW)
    as_deny = policy(allow=(rule("deployer"),), deny=(stated,)).decide(identity, a_request(), NOW)
    assert as_allow == (allowed("r.allow[0]") if all(states) else NOTHING)
    if False in states:
        assert as_deny == allowed("r.allow[0]")
    elif None in states:
        assert as_deny == denied(Reason.CLAIM_MISSING, "r.deny[0]")
    else:
        assert as_deny == denied(Reason.DENIED_BY_RULE, "r.deny[0]")


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (
            Policy(route="r", allow=(rule("deployer"), Rule())),
            "rule `r.allow[1]`: the rule states nothing; state at least one condition",
        ),
        (
            Policy(route="r", allow=(rule("deployer"),), deny=(Rule(),)),
            "rule `r.deny[0]`: the rule states nothing; state at least one condition",
        ),
        (
            Policy(route="r", allow=(rule(methods="GET"),)),
            "rule `r.allow[0]`: the allow rule names no role; name at least one",
        ),
        (
            Policy(route="r", allow=(rule("deployer"),), public=True),
            "route `r` is public and has rules; a public route asks nobody",
        ),
        (
            Policy(route="r", deny=(rule("deployer"),), public=True),
            "route `r` is public and has rules; a public route asks nobody",
        ),
    ],
)
def test_policy_that_cannot_be_meant_does_not_compile(stated: Policy, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        compile_policy(stated, MAPPER)


class NoClaims(dict[str, object]):
    """Claims that break whoever looks at them."""

    def __getitem__(self, name: str) -> object:
        raise AttributeError(name)

    def get(self, name: str, default: object = None) -> object:
        raise AttributeError(name)

    def __contains__(self, name: object) -> bool:
        raise AttributeError(name)


def test_condition_that_fails_does_not_become_an_answer() -> None:
    """What cannot answer raises; whoever asked then says no."""
    broken = replace(an_identity("deployer"), claims=NoClaims())
    with pytest.raises(AttributeError):
        MAIN.decide(broken, a_request(), NOW)


def test_repr_counts_the_rules() -> None:
    assert repr(FROZEN) == "<CompiledPolicy r [1 allow, 2 deny]>"
    assert repr(policy(public=True)) == "<CompiledPolicy r [public]>"
