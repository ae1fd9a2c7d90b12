"""What every profile promises, and what each provider's claims mean."""

import pytest

from proxy.identify.interfaces import Refusal
from proxy.identify.issuers import NEVER_A_CREDENTIAL
from proxy.identify.jwt import Verified
from proxy.identify.profiles import PROFILES
from proxy.identify.profiles.interfaces import Profile
from proxy.model.decision import Reason
from proxy.model.identity import IdentityKind
from tests.identify.tokens import NOW, Json, Signer, an_issuer, good_claims, reason_of, verified

HUMAN, WORKLOAD, AGENT = IdentityKind.HUMAN, IdentityKind.WORKLOAD, IdentityKind.AGENT

GITLAB: Json = {
    "sub": "project_path:platform/deployer:ref_type:branch:ref:main",
    "namespace_id": "41",
    "project_id": "7301",
    "project_path": "platform/deployer",
    "job_namespace_id": "41",
    "job_project_id": "7301",
    "user_id": "88",
    "pipeline_source": "push",
    "job_id": "455120",
    "ref": "main",
    "ref_type": "branch",
    "ref_protected": "true",
    "runner_id": 15,
    "ci_config_ref_uri": None,
}
GITHUB: Json = {
    "sub": "repo:acme@991/infra@77120:environment:production",
    "repository": "acme/infra",
    "repository_id": "77120",
    "repository_owner_id": "991",
    "event_name": "push",
    "ref_protected": "true",
    "run_id": "160911",
    "actor_id": "5150",
}
KUBERNETES: Json = {
    "aud": ["https://api.example.com"],
    "sub": "system:serviceaccount:pay:api",
    "kubernetes.io": {
        "namespace": "pay",
        "serviceaccount": {"name": "api", "uid": "0c1d"},
        "pod": {"name": "api-1", "uid": "77aa"},
        "warnafter": int(NOW) + 60,
    },
}
KEYCLOAK: Json = {
    "sub": "8f7c3e9a",
    "typ": "Bearer",
    "azp": "cli",
    "sid": "2b1d",
    "groups": ["/platform/deployers"],
    "preferred_username": "mira",
}
SAMPLES = {
    "generic": {"sub": "mira", "sid": "2b1d"},
    "gitlab-ci": GITLAB,
    "github-actions": GITHUB,
    "kubernetes": KUBERNETES,
    "keycloak": KEYCLOAK,
}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: str(profile.name))
def test_every_profile_keeps_to_the_rules(profile: Profile) -> None:
    assert profile.types
    assert all(name == name.lower() and not name.startswith("application/") for name in profile.types)
    assert profile.types.isdisjoint(NEVER_A_CREDENTIAL)
    assert profile.audit_claims
    assert profile.pinning_claims.isdisjoint(profile.mutable_claims)
    assert profile.pinning_claims.isdisjoint(profile.caller_chosen_claims)
    # Where anybody can get a token for us, there must be a claim that tells them apart.
    assert bool(profile.pinning_claims) == profile.caller_picks_audience
    assert PROFILES[profile.name] is profile


@pytest.mark.parametrize("name", PROFILES)
def test_a_usual_token_of_the_provider_is_verified(name: str) -> None:
    claims = good_claims(**SAMPLES[name])
    assert isinstance(verified(Signer().sign(claims), an_issuer(name)), Verified)
    assert PROFILES[name].must_name(claims) == frozenset()


@pytest.mark.parametrize(
    ("name", "session_claim"),
    [
        ("generic", "sid"),
        ("gitlab-ci", "job_id"),
        ("github-actions", "run_id"),
        ("kubernetes", None),
        ("keycloak", "sid"),
    ],
)
def test_tokens_of_one_session_or_job_are_tied_together(name: str, session_claim: str | None) -> None:
    assert PROFILES[name].session_claim == session_claim
    assert session_claim is None or session_claim in SAMPLES[name]


@pytest.mark.parametrize(
    ("name", "changes", "kind"),
    [
        ("generic", {}, HUMAN),
        ("generic", {"client_id": "web"}, HUMAN),
        ("generic", {"client_id": "mira"}, WORKLOAD),
        ("generic", {"azp": "mira"}, WORKLOAD),
        ("generic", {"cid": "mira"}, WORKLOAD),
        ("generic", {"idtyp": "app"}, WORKLOAD),
        ("generic", {"act": {"sub": "agent-1"}}, AGENT),
        ("generic", {"act": {"sub": "agent-1"}, "client_id": "mira"}, AGENT),
        ("gitlab-ci", {}, WORKLOAD),
        ("github-actions", {}, WORKLOAD),
        ("kubernetes", {}, WORKLOAD),
        ("keycloak", {}, HUMAN),
        ("keycloak", {"preferred_username": "service-account-cli"}, WORKLOAD),
        ("keycloak", {"preferred_username": "service-account-other"}, HUMAN),
        (
            "keycloak",
            {"client_id": "Batch", "azp": None, "preferred_username": "service-account-batch"},
            WORKLOAD,
        ),
        ("keycloak", {"act": {"sub": "agent-1"}}, AGENT),
    ],
)
def test_the_kind_of_caller_is_told_from_claims(name: str, changes: Json, kind: IdentityKind) -> None:
    assert PROFILES[name].kind(good_claims(**SAMPLES[name]) | changes) is kind


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, set()),
        ({"job_project_id": None}, set()),  # before GitLab 18.4
        ({"job_project_id": "9"}, {"job_project_id"}),  # a fork: project_id is the fork's
        ({"project_id": None}, {"job_project_id"}),
        ({"job_project_id": 7301}, {"job_project_id"}),  # another type is another project
        ({"pipeline_source": "merge_request_event"}, {"pipeline_source"}),
        (
            {"pipeline_source": "merge_request_event", "job_project_id": "9"},
            {"pipeline_source", "job_project_id"},
        ),
        ({"pipeline_source": "schedule"}, set()),
    ],
)
def test_a_merge_request_counts_only_where_a_binding_names_it(changes: Json, names: set[str]) -> None:
    assert PROFILES["gitlab-ci"].must_name(good_claims(**{**GITLAB, **changes})) == names


@pytest.mark.parametrize(
    ("event", "names"),
    [
        ("push", set()),
        ("workflow_dispatch", set()),
        ("schedule", set()),
        ("pull_request", {"event_name"}),
        ("pull_request_target", {"event_name"}),
        ("workflow_run", {"event_name"}),
        ("issue_comment", {"event_name"}),
        ([], {"event_name"}),
        ({"push": True}, {"event_name"}),
        (7, {"event_name"}),
        (None, set()),
    ],
)
def test_a_run_that_a_stranger_can_start_counts_only_where_a_binding_names_it(
    event: object, names: set[str]
) -> None:
    assert PROFILES["github-actions"].must_name(good_claims(**{**GITHUB, "event_name": event})) == names


def bound(**changes: object) -> Json:
    members = {**KUBERNETES["kubernetes.io"], **changes}
    return {
        "kubernetes.io": {name: value for name, value in members.items() if value is not None},
        "exp": NOW + 365 * 86400,
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (bound(), None),
        (bound(warnafter=None), None),
        (bound(warnafter=NOW - 29), None),  # within the leeway
        (bound(warnafter=NOW - 30), Reason.TOKEN_EXPIRED),
        (bound(warnafter=0), Reason.TOKEN_EXPIRED),
        (bound(warnafter="never"), Reason.PROFILE_REFUSED),
        (bound(warnafter=True), Reason.PROFILE_REFUSED),
        (bound(warnafter=[]), Reason.PROFILE_REFUSED),
        (bound(serviceaccount=None), Reason.PROFILE_REFUSED),
        (bound(serviceaccount="api"), Reason.PROFILE_REFUSED),
        (bound(namespace=None), Reason.PROFILE_REFUSED),
        ({"kubernetes.io": None}, Reason.PROFILE_REFUSED),
        ({"kubernetes.io": "text"}, Reason.PROFILE_REFUSED),
        ({"exp": None}, Reason.CLAIMS_MALFORMED),  # a legacy token from a secret
        ({"aud": None}, Reason.CLAIMS_MALFORMED),
    ],
)
def test_a_service_account_token_ends_when_it_was_meant_to(changes: Json, reason: Reason | None) -> None:
    claims = good_claims(**{**KUBERNETES, **changes})
    assert reason_of(verified(Signer().sign(claims, typ=None), an_issuer("kubernetes"))) is reason


@pytest.mark.parametrize("typ", [None, "ID", "Refresh", "Offline", "Logout", "bearer", ["Bearer"], 1])
def test_keycloak_tokens_for_other_purposes_are_refused(typ: object) -> None:
    result = verified(Signer().sign(good_claims(**{**KEYCLOAK, "typ": typ})), an_issuer("keycloak"))
    assert isinstance(result, Refusal)
    assert result.reason is Reason.PROFILE_REFUSED


@pytest.mark.parametrize(
    ("name", "typ", "is_welcome"),
    [
        ("generic", None, True),
        ("generic", "at+jwt", True),
        ("gitlab-ci", "JWT", True),
        ("gitlab-ci", None, True),
        ("gitlab-ci", "at+jwt", False),
        ("github-actions", "JWT", True),
        ("github-actions", "at+jwt", False),
        ("kubernetes", None, True),
        ("kubernetes", "at+jwt", False),
        ("keycloak", "JWT", True),
        ("keycloak", "at+jwt", True),
        ("keycloak", None, False),
    ],
)
def test_each_provider_has_its_types(name: str, typ: str | None, is_welcome: bool) -> None:
    result = verified(Signer().sign(good_claims(**SAMPLES[name]), typ=typ), an_issuer(name))
    assert reason_of(result) is (None if is_welcome else Reason.TYPE_REFUSED)


@pytest.mark.parametrize("act", ["agent", None, {}, {"sub": ""}, {"sub": 7}, {"sub": None}, [], 0])
@pytest.mark.parametrize("name", ["generic", "keycloak"])
def test_a_delegation_that_does_not_say_to_whom_is_refused(name: str, act: object) -> None:
    claims = {**good_claims(**SAMPLES[name]), "act": act}
    assert PROFILES[name].refuse(claims) is not None


@pytest.mark.parametrize("name", ["generic", "keycloak"])
def test_the_outermost_actor_acts_now(name: str) -> None:
    claims = good_claims(**SAMPLES[name], act={"sub": "agent-2", "act": {"sub": "agent-1"}})
    assert PROFILES[name].actor(claims) == "agent-2"
    assert PROFILES[name].refuse(claims) is None
    assert PROFILES[name].actor(good_claims()) is None
