import re
from collections.abc import Callable

import pytest

from proxy.authorize.roles import RoleMapper
from proxy.authorize.rules import Condition, Effect, compile_conditions
from proxy.model.identity import Identity
from proxy.model.policy import Binding, Rule
from proxy.model.request import Request
from tests.authorize.nouns import NOW, a_request, a_role, an_identity, contains, one_of

MAPPER = RoleMapper(
    [
        a_role("deployer", Binding(issuer="gitlab", claims={"project_id": one_of("42")})),
        a_role("auditor", Binding(issuer="okta", groups=frozenset({"audit"}))),
        a_role("nobody"),
    ]
)


def conditions(rule: Rule, effect: Effect = Effect.DENY) -> tuple[Condition, ...]:
    return compile_conditions(rule, effect, MAPPER)


def names(*values: str) -> frozenset[str]:
    return frozenset(values)


ISSUER = Rule(issuers=names("gitlab", "okta"))
METHOD = Rule(methods=names("GET", "HEAD"))
PATH = Rule(paths=("/admin/**", "/jobs/*"))
CLAIM = Rule(claims={"ref": one_of("main")})
ROLE = Rule(roles=names("deployer", "auditor"))

# (rule of one condition, identity, request, verdict, value shown)
VERDICTS = [
    (ISSUER, an_identity(issuer="okta"), a_request(), True, "`okta`"),
    (ISSUER, an_identity(issuer="gitlab-eu"), a_request(), False, "`gitlab-eu`"),
    (METHOD, an_identity(), a_request("GET"), True, "`GET`"),
    (METHOD, an_identity(), a_request("get"), False, "`get`"),
    (METHOD, an_identity(), a_request("POST"), False, "`POST`"),
    (PATH, an_identity(), a_request(path="/admin"), True, "`/admin`"),
    (PATH, an_identity(), a_request(path="/admin/"), True, "`/admin/`"),
    (PATH, an_identity(), a_request(path="/jobs/7"), True, "`/jobs/7`"),
    (PATH, an_identity(), a_request(path="/jobs"), False, "`/jobs`"),
    (PATH, an_identity(), a_request(path="/jobs/7/x"), False, "`/jobs/7/x`"),
    (CLAIM, an_identity(claims={"ref": "main"}), a_request(), True, '"main"'),
    (CLAIM, an_identity(claims={"ref": "dev"}), a_request(), False, '"dev"'),
    (CLAIM, an_identity(claims={"ref": 1}), a_request(), None, "1"),
    (CLAIM, an_identity(), a_request(), None, "missing"),
    (ROLE, an_identity("auditor", "x"), a_request(), True, "`auditor`, `x`"),
    (ROLE, an_identity(claims={"project_id": "7"}), a_request(), False, "no roles"),
    (ROLE, an_identity("x", claims={"project_id": "7"}), a_request(), False, "`x`"),
]


@pytest.mark.parametrize(("rule", "identity", "request_", "verdict", "actual"), VERDICTS)
def test_condition_answers_and_shows_what_it_looked_at(
    rule: Rule, identity: Identity, request_: Request, verdict: bool | None, actual: str
) -> None:
    (condition,) = conditions(rule)
    assert condition.test(identity, request_, NOW) is verdict
    assert condition.actual(identity, request_) == actual


@pytest.mark.parametrize(
    ("rule", "label"),
    [
        (ISSUER, "issuer is one of `gitlab`, `okta`"),
        (METHOD, "method is one of `GET`, `HEAD`"),
        (PATH, "path is one of `/admin/**`, `/jobs/*`"),
        (Rule(paths=("/%61/",)), "path is `/a`"),
        (CLAIM, 'claim `ref` is "main"'),
        (ROLE, "role is one of `auditor`, `deployer`"),
        (Rule(roles=names("nobody")), "role is `nobody`"),
    ],
)
def test_condition_is_labelled_with_what_it_asks(rule: Rule, label: str) -> None:
    (condition,) = conditions(rule)
    assert condition.label == label


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [(Effect.ALLOW, lambda value: value is False), (Effect.DENY, lambda value: value is None)],
)
def test_role_that_cannot_be_told_is_lacking_to_allow_and_unclear_to_deny(
    effect: Effect, verdict: Callable[[bool | None], bool]
) -> None:
    (condition,) = conditions(Rule(roles=names("auditor")), effect)
    unclear = an_identity(issuer="okta", groups=None)
    assert verdict(condition.test(unclear, a_request(), NOW))
    assert condition.test(an_identity(issuer="okta", groups=names("x")), a_request(), NOW) is False
    assert condition.test(an_identity("auditor", issuer="okta"), a_request(), NOW) is True


def test_every_statement_becomes_a_condition_of_its_own() -> None:
    rule = Rule(
        roles=names("deployer"),
        issuers=names("gitlab"),
        methods=names("GET"),
        paths=("/a",),
        claims={"ref": one_of("main"), "groups": contains("x")},
    )
    assert [condition.label.split()[0] for condition in conditions(rule)] == [
        *("issuer", "role", "method", "path", "claim", "claim")
    ]


@pytest.mark.parametrize(
    ("rule", "effect", "message"),
    [
        (Rule(), Effect.ALLOW, "the rule states nothing; state at least one condition"),
        (Rule(), Effect.DENY, "the rule states nothing; state at least one condition"),
        (METHOD, Effect.ALLOW, "the allow rule names no role; name at least one"),
        (
            Rule(roles=names("deploier")),
            Effect.ALLOW,
            "role `deploier` is not declared; declared: `auditor`, `deployer`, `nobody`",
        ),
        (
            Rule(paths=("/a?b",)),
            Effect.DENY,
            "path `/a?b` holds `?` or `#`; only a path takes part in matching",
        ),
        (
            Rule(claims={"c": one_of()}),
            Effect.DENY,
            "claim `c` is compared with nothing; name at least one value",
        ),
    ],
)
def test_rule_that_cannot_be_meant_does_not_compile(rule: Rule, effect: Effect, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        conditions(rule, effect)


def test_undeclared_role_where_none_is_declared_says_so() -> None:
    with pytest.raises(ValueError, match="role `x` is not declared; declared: none"):
        compile_conditions(Rule(roles=names("x")), Effect.ALLOW, RoleMapper([]))
