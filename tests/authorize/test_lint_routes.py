import itertools
from dataclasses import replace

import pytest

from proxy.authorize.finding import Finding
from proxy.authorize.lint_routes import lint_routes
from proxy.authorize.roles import RoleMapper
from proxy.model.policy import Policy, Rule
from proxy.model.route import Route
from tests.authorize.nouns import a_role, a_route

MAPPER = RoleMapper([a_role("r")])
ALLOW = Rule(roles=frozenset({"r"}))


def found(*routes: Route) -> list[Finding]:
    return lint_routes(routes, MAPPER)


def messages(*routes: Route) -> list[str]:
    return [finding.message for finding in found(*routes)]


def with_rules(*allow: Rule, deny: tuple[Rule, ...] = ()) -> Route:
    policy = Policy(route="one", allow=allow, deny=deny)
    return a_route("one", "/api/**", "/jobs/*", methods=["GET", "POST"], policy=policy)


def test_sound_routes_have_no_finding() -> None:
    narrow = Rule(roles=frozenset({"r"}), methods=frozenset({"GET"}), paths=("/api/x", "/jobs/7", "/*/7"))
    assert found(with_rules(ALLOW, narrow, deny=(Rule(paths=("/api",)),)), a_route("two", "/other")) == []


def test_every_bad_pattern_is_an_error_of_its_own() -> None:
    findings = found(a_route("one", "/a?b", "/fine", "x", hosts=["h:1", "fine.com"]), a_route("two"))
    assert [(finding.severity, finding.path) for finding in findings] == [
        *([("error", ("routes", "one"))] * 3),
        ("error", ("routes", "two")),
    ]
    assert "host `h:1`" in findings[0].message
    assert "path `/a?b`" in findings[1].message
    assert "path `x`" in findings[2].message
    assert findings[3].message == "route `two` has no path; use `/**` for all"


def test_bad_route_does_not_hide_conflicts_of_the_others() -> None:
    routes = (a_route("bad", "x"), a_route("one", "/a"), a_route("two", "/a"), a_route("three", "/a"))
    assert [(finding.severity, finding.path[1]) for finding in found(*routes)] == [
        ("error", "bad"),
        ("error", "two"),
        ("error", "three"),
    ]


def test_every_rule_that_does_not_compile_is_an_error() -> None:
    unknown = Rule(roles=frozenset({"x"}))
    findings = found(with_rules(ALLOW, unknown, Rule(), deny=(Rule(paths=("b",)),)))
    assert [(finding.severity, finding.path) for finding in findings] == [
        ("error", ("routes", "one", "allow", 1)),
        ("error", ("routes", "one", "allow", 2)),
        ("error", ("routes", "one", "deny", 0)),
    ]
    assert findings[0].message == "rule `one.allow[1]`: role `x` is not declared; declared: `r`"


def test_public_route_with_rules_is_an_error() -> None:
    route = a_route("one", "/a", policy=Policy(route="one", allow=(ALLOW,), public=True))
    (finding,) = found(route)
    assert finding.severity == "error"
    assert "is public and has rules" in finding.message


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            replace(ALLOW, methods=frozenset({"PUT"})),
            "rule `one.allow[0]` never holds: the route takes none of its methods",
        ),
        (
            replace(ALLOW, paths=("/api/x", "/apis/x")),
            "rule `one.allow[0]` names path `/apis/x`, which the route does not serve",
        ),
        (
            replace(ALLOW, methods=frozenset({"PROPFIND"})),
            "rule `one.allow[0]` never holds: the route takes none of its methods",
        ),
        (
            replace(ALLOW, paths=("/jobs/7/x",)),
            "rule `one.allow[0]` names path `/jobs/7/x`, which the route does not serve",
        ),
    ],
)
def test_rule_that_no_request_of_the_route_can_meet_is_a_warning(rule: Rule, message: str) -> None:
    assert found(with_rules(rule)) == [
        Finding(severity="warning", path=("routes", "one", "allow", 0), message=message)
    ]


PUBLIC = a_route("broad", "/**", policy=Policy(route="broad", public=True))


@pytest.mark.parametrize(
    "narrow",
    [
        a_route("one", "/a", methods=["GET"]),
        a_route("one", "/a/*", methods=["GET"]),
        a_route("one", "/a/**", methods=["GET"]),
        a_route("one", "/**", hosts=["x.com"], methods=["GET"]),
        a_route("one", "/**", hosts=["*.x.com"], methods=["GET"]),
    ],
)
def test_methods_that_fall_to_a_broader_route_are_a_warning(narrow: Route) -> None:
    for routes in ((narrow, PUBLIC), (PUBLIC, narrow)):
        (finding,) = found(*routes)
        assert (finding.severity, finding.path) == ("warning", ("routes", "one"))
        assert "takes only `GET` on" in finding.message
        assert finding.message.endswith("the broader route `broad`, which is public")


@pytest.mark.parametrize(
    "routes",
    [
        (a_route("one", "/a", methods=["GET"]),),
        (a_route("one", "/a"), PUBLIC),
        (a_route("one", "/a", methods=["GET"]), a_route("two", "/a"), PUBLIC),
        (a_route("one", "/a", methods=["GET"]), a_route("two", "/b/**")),
        (a_route("one", "/a", methods=["GET"]), a_route("two", "/**", hosts=["x.com"])),
    ],
)
def test_methods_that_belong_to_nobody_or_to_the_same_place_are_none(routes: tuple[Route, ...]) -> None:
    assert messages(*routes) == []


def test_broader_route_that_takes_one_other_method_is_a_warning_too() -> None:
    assert messages(
        a_route("one", "/a", methods=["GET"]), a_route("two", "/*", methods=["DELETE", "GET"])
    ) == ["route `one` takes only `GET` on `/a`; other methods there belong to the broader route `two`"]


def test_each_broader_route_is_told_once() -> None:
    assert len(messages(a_route("one", "/a", "/b", "/c", methods=["GET"]), PUBLIC)) == 1


def test_explosion_of_wildcards_is_an_error() -> None:
    paths = ["/" + "/".join(parts) for parts in itertools.product("a*", repeat=10)]
    (finding,) = found(a_route("one", *paths))
    assert (finding.severity, finding.path) == ("error", ("routes",))
    assert "use fewer patterns with `*`" in finding.message
