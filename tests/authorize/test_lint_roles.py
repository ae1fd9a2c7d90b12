import pytest

from proxy.authorize.finding import Finding
from proxy.authorize.lint_roles import lint_roles
from proxy.model.policy import Binding, Matcher, Role, Rule
from tests.authorize.nouns import NOW, a_role, contains, one_of, prefix

IDS = frozenset({"project_id", "namespace_id"})
PINNING = {"gitlab": IDS, "okta": None, "odd": frozenset[str]()}
USED = [Rule(roles=frozenset({"r"}))]
PINNED: dict[str, Matcher] = {"project_id": one_of("42")}


def found(*roles: Role, rules: list[Rule] | None = None) -> list[Finding]:
    return lint_roles(roles, USED if rules is None else rules, PINNING, {"okta": frozenset({"sub"})}, NOW)


def of(issuer: str, claims: dict[str, Matcher], *groups: str, ends: float | None = None) -> list[Finding]:
    binding = Binding(issuer=issuer, claims=claims, groups=frozenset(groups), expires_at=ends)
    return found(a_role("r", binding))


@pytest.mark.parametrize(
    ("issuer", "claims", "groups"),
    [
        ("gitlab", PINNED, ()),
        ("gitlab", {"/project_id": one_of("42", "43")}, ()),
        ("gitlab", {"namespace_id": one_of("7"), "ref_protected": one_of("true")}, ()),
        ("gitlab", {**PINNED, "ref": one_of("main"), "ref_type": one_of("branch")}, ()),
        ("gitlab", {**PINNED, "ref": one_of("main"), "ref_path": one_of("refs/heads/main")}, ()),
        ("gitlab", {**PINNED, "ref": one_of("refs/heads/main")}, ()),
        ("gitlab", {**PINNED, "sub": one_of("x")}, ()),
        ("okta", {"uid": one_of("00u1")}, ()),
        ("okta", {}, ("oncall",)),
        ("okta", {"email": one_of("mira@example.com")}, ("oncall",)),
        ("okta", {"email": one_of("mira@example.com"), "/org/id": one_of("1")}, ()),
        ("unlisted", {"uid": one_of("x")}, ()),
    ],
)
def test_sound_binding_has_no_finding(
    issuer: str, claims: dict[str, Matcher], groups: tuple[str, ...]
) -> None:
    assert of(issuer, claims, *groups) == []


@pytest.mark.parametrize(
    ("issuer", "claims", "groups"),
    [
        ("gitlab", {"ref_protected": one_of("true")}, ()),
        ("gitlab", {"project_id": prefix("4")}, ()),
        ("gitlab", {"project_id": contains("42")}, ()),
        ("gitlab", {"/project_id/0": one_of("42")}, ()),
        ("gitlab", {"PROJECT_ID": one_of("42")}, ()),
        ("gitlab", {}, ("acme",)),
        ("odd", {"uid": one_of("x")}, ()),
    ],
)
def test_binding_that_anybody_at_the_provider_can_meet_is_an_error(
    issuer: str, claims: dict[str, Matcher], groups: tuple[str, ...]
) -> None:
    (finding,) = of(issuer, claims, *groups)
    assert finding.severity == "error"
    assert finding.path == ("roles", "r", "bindings", 0)
    assert f"anybody at issuer `{issuer}` can have a token for our audience" in finding.message


def test_error_names_the_claims_to_pin() -> None:
    assert (
        "compare one of `namespace_id`, `project_id` with exact values"
        in of("gitlab", {"ref_protected": one_of("true")})[0].message
    )


@pytest.mark.parametrize(
    ("issuer", "claims", "message"),
    [
        ("okta", {"email": one_of("a@b.c")}, "the binding rests on `email` alone, which can be renamed"),
        (
            "okta",
            {"/email": one_of("a@b.c"), "name": one_of("x")},
            "the binding rests on `email`, `name` alone",
        ),
        ("okta", {"sub": one_of("a@b.c")}, "the binding rests on `sub` alone"),
        (
            "gitlab",
            {**PINNED, "sub": prefix("project_path:acme", ":")},
            "the layout of `sub` is configurable",
        ),
        (
            "gitlab",
            {**PINNED, "/sub": prefix("project_path:acme", ":")},
            "the layout of `sub` is configurable",
        ),
        ("gitlab", {**PINNED, "ref": one_of("main")}, "`ref` matches a branch as well as a tag"),
        (
            "gitlab",
            {**PINNED, "ref": one_of("refs/heads/main", "main")},
            "`ref` matches a branch as well as a tag",
        ),
    ],
)
def test_claim_that_does_not_mean_what_it_seems_is_a_warning(
    issuer: str, claims: dict[str, Matcher], message: str
) -> None:
    (finding,) = of(issuer, claims)
    assert finding.severity == "warning"
    assert finding.path == ("roles", "r", "bindings", 0)
    assert finding.message.startswith(message)


@pytest.mark.parametrize(("ends", "warned"), [(NOW - 1, True), (NOW, True), (NOW + 1, False), (None, False)])
def test_binding_that_has_ended_is_a_warning(ends: float | None, warned: bool) -> None:
    messages = [finding.message for finding in of("gitlab", PINNED, ends=ends)]
    assert bool(messages) is warned
    assert all("the binding ended at 2026-09-21T14:13:" in message for message in messages)


def test_binding_that_does_not_compile_is_an_error() -> None:
    (finding,) = of("okta", {})
    assert (finding.severity, finding.path) == ("error", ("roles", "r", "bindings", 0))
    assert "states neither claims nor groups" in finding.message


def test_role_that_nobody_has_or_nothing_uses_is_a_warning() -> None:
    assert found(a_role("r")) == [
        Finding(severity="warning", path=("roles", "r"), message="role `r` has no binding, so nobody has it")
    ]
    assert found(a_role("r", Binding(issuer="gitlab", claims=PINNED)), rules=[]) == [
        Finding(severity="warning", path=("roles", "r"), message="role `r` is used by no rule")
    ]


def test_findings_name_the_binding_they_are_about() -> None:
    bad = Binding(issuer="gitlab", claims={"ref_protected": one_of("true")})
    good = Binding(issuer="gitlab", claims=PINNED)
    findings = found(a_role("r", good, bad), a_role("s", bad), rules=[Rule(roles=frozenset({"r", "s"}))])
    assert [finding.path for finding in findings] == [
        ("roles", "r", "bindings", 1),
        ("roles", "s", "bindings", 0),
    ]
