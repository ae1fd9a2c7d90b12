"""
GitHub Actions OIDC tokens.

Every repository on github.com gets tokens from the same issuer and picks its own `aud`: only
`repository_id` or `repository_owner_id` says whose run it is. All ids and `ref_protected` are
texts. `sub` has four layouts, an immutable variant and templates, so nothing should match on it.
The keys are found by discovery (`<iss>/.well-known/jwks` today); header `typ` is `JWT`.
"""

from proxy.identify.interfaces import Claims
from proxy.identify.profiles.interfaces import NOTHING, Profile
from proxy.model.identity import IdentityKind

# Runs that somebody outside the repository can start, or that run somebody else's code.
FOREIGN_EVENTS = frozenset({"pull_request", "pull_request_target", "workflow_run", "issue_comment"})


def kind_of(claims: Claims) -> IdentityKind:
    """A run is a workload, whoever started it."""
    del claims
    return IdentityKind.WORKLOAD


def must_name(claims: Claims) -> frozenset[str]:
    """Return `event_name` for runs that a stranger may have started, and for those that do not tell."""
    event = claims.get("event_name")
    is_foreign = event in FOREIGN_EVENTS if isinstance(event, str) else event is not None
    return frozenset({"event_name"}) if is_foreign else NOTHING


GITHUB_ACTIONS = Profile(
    name="github-actions",
    types=frozenset({"jwt", ""}),
    kind=kind_of,
    caller_picks_audience=True,
    pinning_claims=frozenset({"repository_id", "repository_owner_id", "enterprise_id"}),
    mutable_claims=frozenset(
        {"sub", "repository", "repository_owner", "enterprise", "actor", "workflow", "triggering_actor"}
    ),
    caller_chosen_claims=frozenset({"aud", "ref", "head_ref", "base_ref", "environment", "sha", "workflow"}),
    audit_claims=(
        "repository",
        "repository_id",
        "repository_owner_id",
        "actor",
        "actor_id",
        "event_name",
        "ref",
        "ref_type",
        "environment",
        "job_workflow_ref",
        "run_id",
        "run_attempt",
        "sha",
        "jti",
    ),
    session_claim="run_id",
    must_name=must_name,
)
