import pytest

from proxy.authorize.compile import CompiledPolicy, compile_policy
from proxy.authorize.explain import SHOWN_MISSES, Check, Explanation, explain
from proxy.authorize.roles import RoleMapper
from proxy.authorize.routing import RouteTable
from proxy.model.decision import DENIALS, Reason
from proxy.model.identity import Identity
from proxy.model.policy import Binding, Policy, Rule
from proxy.model.request import Request
from proxy.model.route import Route
from tests.authorize.nouns import NOW, a_request, a_role, a_route, allowing, an_identity, one_of

JOB: dict[str, object] = {"project_id": "42", "ref": "main"}
MAPPER = RoleMapper(
    [
        a_role(
            "deployer",
            Binding(issuer="gitlab", claims={"project_id": one_of("42"), "environment": one_of("prod")}),
            Binding(issuer="gitlab", claims={"project_id": one_of("42")}, expires_at=NOW + 60),
            Binding(issuer="okta", groups=frozenset({"oncall"})),
        ),
    ]
)
POLICY = Policy(
    route="deploy",
    allow=(Rule(roles=frozenset({"deployer"}), methods=frozenset({"POST"})),),
    deny=(Rule(claims={"ref_protected": one_of("false")}),),
)
ROUTES = (
    a_route("all", "/**", policy=allowing("all", "deployer")),
    a_route("deploy", "/deploy/**", policy=POLICY),
    a_route("elsewhere", "/**", hosts=["other.example.com"]),
    a_route("health", "/health", policy=Policy(route="health", public=True)),
    a_route("read", "/deploy/**", methods=["GET"]),
)


def explained(
    request: Request,
    identity: Identity | None,
    routes: tuple[Route, ...] = ROUTES,
    must_name: frozenset[str] = frozenset(),
) -> Explanation:
    table: RouteTable[CompiledPolicy] = RouteTable.build(
        (route, compile_policy(route.policy, MAPPER)) for route in routes
    )
    return explain(
        table=table,
        policy_of=lambda policy: policy,
        mapper=MAPPER,
        identity=identity,
        request=request,
        now=NOW,
        must_name=must_name,
    )


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/deploy/x", "/health", "/z", "*"])
@pytest.mark.parametrize("claims", [{}, JOB, {**JOB, "ref_protected": "true"}, {"ref_protected": "false"}])
@pytest.mark.parametrize("roles", [(), ("deployer",)])
def test_decision_is_that_of_the_data_plane(
    method: str, path: str, claims: dict[str, object], roles: tuple[str, ...]
) -> None:
    table = RouteTable.build((route, compile_policy(route.policy, MAPPER)) for route in ROUTES)
    for identity in (None, an_identity(*roles, claims=claims)):
        request = a_request(method, path)
        policy = table.find(request.host, path, method)
        expected = DENIALS[Reason.NO_ROUTE] if policy is None else policy.decide(identity, request, NOW)
        assert explained(request, identity).decision == expected


def test_every_route_says_why_it_was_not_chosen() -> None:
    routes = explained(a_request("POST", "/deploy/x"), None).routes
    assert [(route.name, route.matches, route.why) for route in routes] == [
        ("deploy", True, None),
        ("all", True, "`deploy` is more specific"),
        ("read", False, "method `POST` is not `GET`"),
        ("health", False, "path `/deploy/x` is not `/health`"),
        ("elsewhere", False, "host `api.example.com` is not `other.example.com`"),
    ]


def test_routes_that_do_not_match_are_summarised_past_the_limit() -> None:
    for count, left_out in ((SHOWN_MISSES, 0), (SHOWN_MISSES + 1, 1), (500, 480)):
        routes = tuple(a_route(f"r{number}", f"/r{number}") for number in range(count))
        found = explained(a_request(path="/other"), None, routes)
        assert (len(found.routes), found.routes_left_out) == (SHOWN_MISSES, left_out)
        assert found.route is None
        assert found.decision is DENIALS[Reason.NO_ROUTE]


def test_each_condition_shows_its_verdict_and_the_value_compared() -> None:
    identity = an_identity("deployer", claims={"ref_protected": "true"})
    deny, allow = explained(a_request("POST", "/deploy/x"), identity).rules
    assert (deny.name, deny.verdict) == ("deploy.deny[0]", False)
    assert deny.checks == (Check(label='claim `ref_protected` is "false"', verdict=False, actual='"true"'),)
    assert (allow.name, allow.verdict) == ("deploy.allow[0]", True)
    assert allow.checks == (
        Check(label="role is `deployer`", verdict=True, actual="`deployer`"),
        Check(label="method is `POST`", verdict=True, actual="`POST`"),
    )


def test_rule_that_cannot_be_evaluated_says_so() -> None:
    found = explained(a_request("POST", "/deploy/x"), an_identity("deployer"))
    assert found.rules[0].verdict is None
    assert found.rules[0].checks[0].actual == "missing"
    assert found.decision.reason is Reason.CLAIM_MISSING


def test_each_binding_of_the_issuer_says_why_it_gives_or_not() -> None:
    first, second = explained(a_request(), an_identity(claims=JOB)).bindings
    assert (first.role, first.index, first.gives) == ("deployer", 0, False)
    assert first.checks == (
        Check(label='claim `project_id` is "42"', verdict=True, actual='"42"'),
        Check(label='claim `environment` is "prod"', verdict=None, actual="missing"),
    )
    assert (second.index, second.gives) == (1, True)
    assert second.checks[1] == Check(
        label="before 2026-09-21T14:14:20Z", verdict=True, actual="2026-09-21T14:13:20Z"
    )


@pytest.mark.parametrize(
    ("groups", "verdict", "actual"),
    [
        (None, None, "the token does not say"),
        (frozenset({"b", "a"}), False, '["a", "b"]'),
        (frozenset({"oncall"}), True, '["oncall"]'),
    ],
)
def test_groups_of_a_binding_are_explained(
    groups: frozenset[str] | None, verdict: bool | None, actual: str
) -> None:
    (binding,) = explained(a_request(), an_identity(issuer="okta", groups=groups)).bindings
    assert binding.gives is (verdict is True)
    assert binding.checks == (Check(label='groups hold one of ["oncall"]', verdict=verdict, actual=actual),)


def test_what_the_profile_asks_of_a_binding_is_explained() -> None:
    found = explained(a_request(), an_identity(claims=JOB), must_name=frozenset({"job_project_id"}))
    assert [binding.gives for binding in found.bindings] == [False, False]
    assert found.bindings[1].checks[1] == Check(
        label="the binding compares `job_project_id`, which this token asks for",
        verdict=False,
        actual="`project_id`",
    )


@pytest.mark.parametrize("claims", [{}, JOB, {**JOB, "environment": "prod"}, {"project_id": 42}])
@pytest.mark.parametrize("must_name", [frozenset[str](), frozenset({"environment"})])
def test_bindings_give_what_the_mapper_gives(claims: dict[str, object], must_name: frozenset[str]) -> None:
    identity = an_identity(claims=claims)
    found = explained(a_request(), identity, must_name=must_name)
    given = {binding.role for binding in found.bindings if binding.gives}
    assert given == MAPPER.roles_of("gitlab", claims, None, must_name, NOW).roles
    for binding in found.bindings:
        assert binding.gives is all(check.verdict is True for check in binding.checks)


def test_nobody_has_no_bindings_and_no_rules() -> None:
    found = explained(a_request("POST", "/deploy/x"), None)
    assert (found.identity, found.bindings, found.rules) == (None, (), ())
    assert found.decision.reason is Reason.CREDENTIAL_MISSING


def test_subject_from_the_token_cannot_reach_the_terminal() -> None:
    found = explained(a_request(), an_identity(subject="\x1b]0;x\x07"))
    assert found.identity is not None
    assert found.identity.isprintable()
