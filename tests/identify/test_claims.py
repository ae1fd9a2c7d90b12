import pytest

from proxy.identify.claims import claim_at, groups_of
from proxy.identify.interfaces import SignedClaims
from proxy.identify.issuers import Issuer
from proxy.identify.jwt import Verified
from proxy.model.identity import Identity, IdentityKind
from tests.identify.tokens import (
    AUDIENCE,
    NOW,
    Json,
    OneRole,
    a_builder,
    an_issuer,
    audit_fields,
    good_claims,
    header_lines,
)


def build(claims: Json, issuer: Issuer | None = None, mapper: OneRole | None = None) -> Identity:
    return a_builder(mapper).build(Verified(SignedClaims(claims), issuer or an_issuer()), NOW)


def test_an_identity_says_who_asks() -> None:
    claims = good_claims(sid="s1", act={"sub": "agent-1"}, groups=["a", "b"], email="m@x", secret="no")
    mapper = OneRole()
    identity = build(claims, None, mapper)
    roles = frozenset({"reader"})
    assert (identity.issuer, identity.subject, identity.kind) == ("idp", "service-7", IdentityKind.AGENT)
    assert (identity.session, identity.actor) == ("s1", "agent-1")
    assert (identity.roles, identity.groups) == (roles, frozenset({"a", "b"}))
    assert identity.audiences == {AUDIENCE}
    assert identity.claims == claims
    assert identity.header_lines == header_lines("idp", "service-7", roles)
    kept = {"jti": "3f1c", "sid": "s1", "email": "m@x", "act": {"sub": "agent-1"}}
    assert identity.audit_fields == audit_fields("idp", "service-7", IdentityKind.AGENT, kept, roles)
    assert mapper.asked == [("idp", frozenset({"a", "b"}), frozenset())]


def test_the_mapper_hears_what_a_binding_must_name() -> None:
    mapper = OneRole()
    claims = good_claims(project_id="1", job_project_id="2", pipeline_source="merge_request_event")
    build(claims, an_issuer("gitlab-ci"), mapper)
    assert mapper.asked == [("idp", None, frozenset({"job_project_id", "pipeline_source"}))]


@pytest.mark.parametrize(
    ("name", "claims", "max_lifetime_s", "until", "expires_in"),
    [
        ("generic", {}, 86400, NOW + 1000, 300),
        ("generic", {}, 200, NOW + 1000, 190),
        ("generic", {}, 86400, NOW + 50, 50),
        ("generic", {"exp": 1e308}, 3600, float("inf"), 3590),
        ("kubernetes", {"kubernetes.io": {"warnafter": NOW + 20}}, 86400, NOW + 1000, 20),
        ("kubernetes", {"kubernetes.io": {"warnafter": NOW + 5000}}, 86400, NOW + 1000, 300),
    ],
)
def test_an_identity_ends_with_the_first_of_its_ends(
    name: str, claims: Json, max_lifetime_s: float, until: float, expires_in: float
) -> None:
    issuer = an_issuer(name, max_lifetime_s=max_lifetime_s)
    identity = build(good_claims(**claims), issuer, OneRole(until=until))
    assert identity.expires_at == NOW + expires_in


@pytest.mark.parametrize(
    ("audience", "expected"), [("a", {"a"}), (["a"], {"a"}), (["a", "b", "a"], {"a", "b"})]
)
def test_all_audiences_are_given_on(audience: object, expected: set[str]) -> None:
    assert build(good_claims(aud=audience)).audiences == expected


def test_odd_subjects_stay_as_they_are() -> None:
    subject = "a\r\nX-Role: admin\x00é😀"
    assert build(good_claims(sub=subject)).subject == subject


@pytest.mark.parametrize("session", [None, 7, ["s"], True])
def test_a_session_is_text(session: object) -> None:
    assert build(good_claims(sid=session)).session is None


@pytest.mark.parametrize(
    ("claims", "names", "expected"),
    [
        ({}, ("groups",), None),
        ({"groups": ["a"]}, (), None),
        ({"groups": []}, ("groups",), set()),
        ({"groups": ["a", "b"]}, ("groups",), {"a", "b"}),
        ({"groups": ["a"], "teams": ["b"]}, ("groups", "teams"), {"a", "b"}),
        ({"teams": ["b"]}, ("groups", "teams"), {"b"}),
        ({"groups": "a"}, ("groups",), None),  # text is not a list
        ({"groups": {"a": 1}}, ("groups",), None),
        ({"groups": ["a", 1]}, ("groups",), None),
        ({"groups": ["a"], "teams": "b"}, ("groups", "teams"), None),
        ({"groups": None}, ("groups",), None),
        ({"realm": {"roles": ["r"]}}, ("/realm/roles",), {"r"}),
        ({"realm": ["roles"]}, ("/realm/roles",), None),
        ({"_claim_names": {"groups": "src1"}}, ("groups",), None),
        ({"groups": ["a"], "_claim_names": {"groups": "src1"}}, ("groups",), None),
        ({"groups": ["a"], "_claim_names": {"other": "src1"}}, ("groups",), {"a"}),
        ({"groups": ["a"], "hasgroups": True}, ("groups",), None),
    ],
)
def test_groups_are_unknown_where_the_token_does_not_say(
    claims: Json, names: tuple[str, ...], expected: set[str] | None
) -> None:
    assert groups_of(claims, names) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", 1),
        ("a/b", 2),
        ("/a", 1),
        ("/a~1b", 2),
        ("/~0t", 3),
        ("/~01", 4),
        ("/o/x/y", 5),
        ("/o/x/z", None),
        ("/o/x/y/z", None),
        ("/l/0", None),
        ("missing", None),
        ("https://x/y", 6),
        ("/", 7),
    ],
)
def test_a_claim_is_found_by_name_or_pointer(name: str, expected: object) -> None:
    claims = {
        "a": 1,
        "a/b": 2,
        "~t": 3,
        "~1": 4,
        "o": {"x": {"y": 5}},
        "l": ["first"],
        "https://x/y": 6,
        "": 7,
    }
    assert claim_at(claims, name) == expected
