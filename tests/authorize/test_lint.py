from proxy.authorize.compile import compile_policy
from proxy.authorize.lint import lint
from proxy.authorize.roles import RoleMapper
from proxy.authorize.routing import RouteTable
from proxy.model.policy import Binding, Policy, Rule
from tests.authorize.nouns import NOW, a_role, a_route, allowing, one_of

PINNING = {"gitlab": frozenset({"project_id"})}
DEPLOYER = a_role("deployer", Binding(issuer="gitlab", claims={"project_id": one_of("42")}))


def test_sound_configuration_has_no_finding_and_compiles() -> None:
    route = a_route("deploy", "/deploy/**", policy=allowing("deploy", "deployer"))
    assert lint([DEPLOYER], [route], PINNING, now=NOW) == []
    mapper = RoleMapper([DEPLOYER])
    table = RouteTable.build([(route, compile_policy(route.policy, mapper))])
    assert table.find("h", "/deploy", "GET") is not None


def test_roles_and_routes_are_reported_together_errors_first() -> None:
    broken = a_role(
        "broken", Binding(issuer="gitlab"), Binding(issuer="gitlab", claims={"ref_protected": one_of("true")})
    )
    policy = Policy(route="one", allow=(Rule(roles=frozenset({"deployer", "missing"})),))
    routes = [a_route("one", "/a", policy=policy), a_route("two", "/a/")]
    findings = lint([broken, DEPLOYER], routes, PINNING, now=NOW)
    assert [(finding.severity, finding.path) for finding in findings] == [
        ("error", ("roles", "broken", "bindings", 0)),
        ("error", ("roles", "broken", "bindings", 1)),
        ("error", ("routes", "one", "allow", 0)),
        ("error", ("routes", "two")),
        ("warning", ("roles", "broken")),
    ]


def test_broken_binding_does_not_hide_that_its_role_is_declared() -> None:
    route = a_route("one", "/a", policy=allowing("one", "broken"))
    findings = lint([a_role("broken", Binding(issuer="gitlab"))], [route], PINNING, now=NOW)
    assert [finding.path for finding in findings] == [("roles", "broken", "bindings", 0)]


def test_what_can_be_renamed_at_an_issuer_is_handed_in() -> None:
    role = a_role("r", Binding(issuer="okta", claims={"sub": one_of("mira@example.com")}))
    route = a_route("one", "/a", policy=allowing("one", "r"))
    assert lint([role], [route], {}, now=NOW) == []
    (finding,) = lint([role], [route], {}, now=NOW, mutable={"okta": frozenset({"sub"})})
    assert "`sub` alone" in finding.message
