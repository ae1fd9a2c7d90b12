from proxy.authorize.compile import CompiledPolicy, compile_policy
from proxy.authorize.explain import explain
from proxy.authorize.render import render
from proxy.authorize.roles import RoleMapper
from proxy.authorize.routing import RouteTable
from proxy.model.identity import Identity
from proxy.model.policy import Binding, Policy, Rule
from proxy.model.request import Request
from proxy.model.route import Route
from tests.authorize.nouns import NOW, a_request, a_role, a_route, an_identity, one_of

MAPPER = RoleMapper(
    [a_role("deployer", Binding(issuer="gitlab", claims={"project_id": one_of("42"), "ref": one_of("main")}))]
)
DEPLOY = Policy(
    route="deploy",
    allow=(Rule(roles=frozenset({"deployer"})),),
    deny=(Rule(claims={"ref_protected": one_of("false")}),),
)
ROUTES = (a_route("deploy", "/deploy/**", policy=DEPLOY), a_route("all", "/**"))
PUBLIC = (a_route("open", "/**", policy=Policy(route="open", public=True)),)


def rendered(request: Request, identity: Identity | None, routes: tuple[Route, ...] = ROUTES) -> list[str]:
    table: RouteTable[CompiledPolicy] = RouteTable.build(
        (route, compile_policy(route.policy, MAPPER)) for route in routes
    )
    explanation = explain(
        table=table,
        policy_of=lambda policy: policy,
        mapper=MAPPER,
        identity=identity,
        request=request,
        now=NOW,
    )
    return render(explanation).split("\n")


def test_whole_explanation_reads_from_request_to_decision() -> None:
    identity = an_identity("deployer", claims={"project_id": "42", "ref": "dev"}, subject="job")
    assert rendered(a_request("POST", "/deploy/x"), identity) == [
        "request   POST api.example.com/deploy/x",
        'identity  gitlab "job" (workload)',
        "roles     deployer",
        "bindings",
        "  bindings[0] does not give `deployer`",
        '    yes  claim `project_id` is "42"; here: "42"',
        '    no   claim `ref` is "main"; here: "dev"',
        "routes",
        "  chosen    deploy",
        "  matches   all: `deploy` is more specific",
        "rules of route `deploy`",
        "  deploy.deny[0] cannot be evaluated",
        '    ?    claim `ref_protected` is "false"; here: missing',
        "  deploy.allow[0] holds",
        "    yes  role is `deployer`; here: `deployer`",
        "decision  denied by deploy.deny[0] (claim-missing)",
    ]


def test_nobody_on_a_route_that_needs_somebody() -> None:
    assert rendered(a_request(path="/deploy"), None) == [
        "request   GET api.example.com/deploy",
        "identity  none: no credential was presented",
        "routes",
        "  chosen    deploy",
        "  matches   all: `deploy` is more specific",
        "rules of route `deploy`",
        "  not asked: an identity is needed first",
        "decision  denied (credential-missing)",
    ]


def test_public_route() -> None:
    lines = rendered(a_request(path="/x"), None, PUBLIC)
    assert lines[-2:] == ["  public: no rule is asked", "decision  allowed (public)"]


def test_route_without_rules() -> None:
    lines = rendered(a_request(path="/x"), an_identity(issuer="okta"))
    assert lines[2:5] == ["roles     none", "bindings", "  none for this issuer"]
    assert lines[-2:] == ["  none: everything is denied", "decision  denied (no-rule-matched)"]


def test_request_without_a_route_lists_the_nearest_and_counts_the_rest() -> None:
    routes = tuple(a_route(f"r{number:02}", f"/r{number}") for number in range(30))
    lines = rendered(a_request(path="/x"), None, routes)
    assert lines[3] == "  no match  r00: path `/x` is not `/r0`"
    assert lines[-2:] == ["  and 10 more that do not match", "decision  denied (no-route)"]


def test_allowed_by_a_rule() -> None:
    identity = an_identity("deployer", claims={"ref_protected": "true"})
    assert (
        rendered(a_request(path="/deploy"), identity)[-1] == "decision  allowed by deploy.allow[0] (allowed)"
    )


def test_claims_cannot_break_the_lines() -> None:
    hostile = an_identity("deployer", claims={"ref_protected": "x\n\x1b[2Jdecision  allowed"})
    lines = rendered(a_request(path="/deploy"), hostile)
    assert all(line.isprintable() for line in lines)
    assert [line for line in lines if line.startswith("decision")] == [lines[-1]]
