import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.authorize.roles import RoleMapper, compile_binding
from proxy.model.identity import RoleGrant
from proxy.model.policy import Binding
from tests.authorize.nouns import NOW, a_role, an_identity, one_of, prefix

NOTHING: frozenset[str] = frozenset()
JOB: dict[str, object] = {"project_id": "42", "ref_protected": "true", "environment": "production"}


def binding(issuer: str = "gitlab", *groups: str, ends: float | None = None, **claims: str) -> Binding:
    return Binding(
        issuer=issuer,
        claims={name: one_of(value) for name, value in claims.items()},
        groups=frozenset(groups),
        expires_at=ends,
    )


def granted(
    *bindings: Binding,
    claims: dict[str, object] = JOB,
    groups: frozenset[str] | None = None,
    must_name: frozenset[str] = NOTHING,
    issuer: str = "gitlab",
    now: float = NOW,
) -> RoleGrant:
    return RoleMapper([a_role("r", *bindings)]).roles_of(issuer, claims, groups, must_name, now)


BOTH = binding("gitlab", "oncall", project_id="42")

# The binding, the claims, the groups, and whether it gives its role.
GIVES: list[tuple[Binding, dict[str, object], frozenset[str] | None, bool]] = [
    (binding(project_id="42"), JOB, None, True),
    (binding(project_id="43"), JOB, None, False),
    (binding(project_id="42", ref_protected="true"), JOB, None, True),
    (binding(project_id="42", ref_protected="false"), JOB, None, False),
    (binding(project_id="42", job_project_id="42"), JOB, None, False),
    (binding(project_id="42"), {"project_id": 42}, None, False),
    (binding(project_id="42"), {"project_id": ["42"]}, None, False),
    (binding(project_id="42"), {"project_id": None}, None, False),
    (binding(project_id="42"), {}, None, False),
    (binding("gitlab", "oncall"), {}, frozenset({"oncall", "staff"}), True),
    (binding("gitlab", "oncall", "admins"), {}, frozenset({"admins"}), True),
    (binding("gitlab", "oncall"), {}, frozenset({"staff"}), False),
    (binding("gitlab", "oncall"), {}, frozenset(), False),
    (binding("gitlab", "oncall"), {}, None, False),
    (BOTH, JOB, frozenset({"oncall"}), True),
    (BOTH, JOB, frozenset(), False),
    (BOTH, JOB, None, False),
    (BOTH, {}, frozenset({"oncall"}), False),
]


@pytest.mark.parametrize(("stated", "claims", "groups", "gives"), GIVES)
def test_binding_gives_its_role_only_when_all_of_it_holds(
    stated: Binding, claims: dict[str, object], groups: frozenset[str] | None, gives: bool
) -> None:
    assert granted(stated, claims=claims, groups=groups).roles == (frozenset({"r"}) if gives else NOTHING)


def test_binding_counts_for_its_issuer_alone() -> None:
    """The ids of two GitLab instances collide; the issuer is what tells them apart."""
    assert granted(binding("gitlab", project_id="42"), issuer="gitlab").roles == {"r"}
    assert granted(binding("gitlab", project_id="42"), issuer="gitlab-eu").roles == NOTHING
    assert granted(binding("gitlab", project_id="42"), issuer="").roles == NOTHING


@pytest.mark.parametrize(("now", "gives"), [(NOW - 0.001, True), (NOW, False), (NOW + 1, False)])
def test_binding_ends_at_its_moment(now: float, gives: bool) -> None:
    grant = granted(binding(ends=NOW, project_id="42"), now=now)
    assert grant == RoleGrant(roles=frozenset({"r"}) if gives else NOTHING, until=NOW if gives else math.inf)


def test_until_is_the_earliest_end_among_the_bindings_that_matched() -> None:
    later, sooner = binding(ends=NOW + 9, project_id="42"), binding(ends=NOW + 5, ref_protected="true")
    unmatched, past = binding(ends=NOW + 1, project_id="7"), binding(ends=NOW - 1, project_id="42")
    assert granted(later, sooner, unmatched, past).until == NOW + 5
    assert granted(later, binding(project_id="42")).until == NOW + 9
    assert granted(binding(project_id="42")).until == math.inf


@pytest.mark.parametrize(
    ("names", "gives"),
    [
        (("project_id",), False),
        (("project_id", "job_project_id"), True),
        (("project_id", "/job_project_id"), True),
        (("project_id", "/job_project_id/0"), False),
    ],
)
def test_binding_must_name_what_the_profile_asks_for(names: tuple[str, ...], gives: bool) -> None:
    """A merge request from a fork runs with the fork's id beside that of the project it runs in."""
    claims: dict[str, object] = {"project_id": "42", "job_project_id": "42"}
    stated = Binding(issuer="gitlab", claims={name: one_of("42") for name in names})
    assert (granted(stated, claims=claims, must_name=frozenset({"job_project_id"})).roles == {"r"}) is gives


def test_every_matching_role_is_given() -> None:
    mapper = RoleMapper(
        [
            a_role("a", binding(project_id="42"), binding(project_id="42")),
            a_role("b", binding(project_id="7"), binding(environment="production")),
            a_role("c", binding(project_id="7")),
            a_role("none"),
        ]
    )
    assert mapper.roles_of("gitlab", JOB, None, NOTHING, NOW).roles == {"a", "b"}
    assert mapper.names == {"a", "b", "c", "none"}
    assert [(one.role, one.index) for one in mapper.bindings_of("gitlab")] == [
        *(("a", 0), ("a", 1), ("b", 0), ("b", 1), ("c", 0))
    ]
    assert mapper.bindings_of("okta") == ()


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (
            Binding(issuer="gitlab"),
            "`roles.r.bindings[1]` states neither claims nor groups; state at least one",
        ),
        (
            Binding(issuer="gitlab", claims={"": one_of("x")}),
            "`roles.r.bindings[1]`: the name of a claim is empty",
        ),
        (
            Binding(issuer="gitlab", claims={"p": prefix("acme", separator="")}),
            (
                "`roles.r.bindings[1]`: claim `p` has a prefix without separator:"
                " `acme` would match `acme-evil` as well"
            ),
        ),
    ],
)
def test_binding_that_anybody_fits_does_not_compile(stated: Binding, message: str) -> None:
    with pytest.raises(ValueError, match="bindings") as caught:
        RoleMapper([a_role("r", binding(project_id="42"), stated)])
    assert str(caught.value) == message


UNCLEAR: list[tuple[Binding, dict[str, object], frozenset[str] | None, bool]] = [
    (binding("gitlab", "contractors"), {}, None, True),
    (binding("gitlab", "contractors"), {}, frozenset(), False),
    (binding(employment="contractor"), {}, None, True),
    (binding(employment="contractor"), {"employment": ["contractor"]}, None, True),
    (binding(employment="contractor"), {"employment": "staff"}, None, False),
    (binding("gitlab", "contractors", employment="contractor"), {"employment": "staff"}, None, False),
    (binding("gitlab", "contractors", employment="contractor"), {}, frozenset(), False),
    (binding("gitlab", ends=NOW, employment="contractor"), {}, None, False),
    (binding("okta", employment="contractor"), {}, None, False),
    # It holds and gave nothing: the profile kept it from counting.
    (binding(employment="contractor"), {"employment": "contractor"}, None, True),
]


@pytest.mark.parametrize(("stated", "claims", "groups", "unclear"), UNCLEAR)
def test_lacking_a_role_is_clear_only_where_every_binding_is_known_not_to_hold(
    stated: Binding, claims: dict[str, object], groups: frozenset[str] | None, unclear: bool
) -> None:
    mapper = RoleMapper([a_role("contractor", stated), a_role("other", binding(missing="x"))])
    identity = an_identity(claims=claims, groups=groups)
    assert mapper.compile_doubt(frozenset({"contractor"}))(identity, NOW) is unclear


values = st.sampled_from(["1", "2", 1, None])


@given(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", "2"]), min_size=1),
    st.dictionaries(st.sampled_from("abc"), values),
    st.frozensets(st.sampled_from("xy"), max_size=2),
    st.none() | st.frozensets(st.sampled_from("xyz"), max_size=2),
)
def test_giving_and_the_verdict_agree(
    wanted: dict[str, str],
    claims: dict[str, object],
    groups: frozenset[str],
    held: frozenset[str] | None,
) -> None:
    stated = Binding(
        issuer="gitlab", claims={name: one_of(value) for name, value in wanted.items()}, groups=groups
    )
    one = compile_binding("r", 0, stated)
    verdict = one.verdict(claims, held)
    assert one.matches(claims, held, NOTHING, NOW) is (verdict is True)
    known_not = any(
        claims.get(name) in ("1", "2") and claims[name] != value for name, value in wanted.items()
    )
    assert (verdict is False) is (known_not or bool(groups and held is not None and not groups & held))
