"""
GitLab CI/CD ID tokens (`id_tokens:` of a job).

The job writes its own `aud`, so any project of the instance can get a token for us: only an id
of project or namespace says who it is. All ids are text except `runner_id`; `ref_protected` and
`environment_protected` are the texts `true` and `false`.
"""

from proxy.identify.interfaces import Claims
from proxy.identify.profiles.interfaces import NOTHING, Profile
from proxy.model.identity import IdentityKind


def kind_of(claims: Claims) -> IdentityKind:
    """A job is a workload, whoever started it."""
    del claims
    return IdentityKind.WORKLOAD


def must_name(claims: Claims) -> frozenset[str]:
    """
    Return what a binding must say to mean a merge request's pipeline.

    In a pipeline for a merge request from a fork `project_id` is the fork, while the job runs in
    `job_project_id` (GitLab 18.4): whoever opens a merge request would else choose our code path.
    A merge request from inside the project runs code that nobody has reviewed yet.
    """
    names = set()
    if "job_project_id" in claims and claims["job_project_id"] != claims.get("project_id"):
        names.add("job_project_id")
    if claims.get("pipeline_source") == "merge_request_event":
        names.add("pipeline_source")
    return frozenset(names) if names else NOTHING


GITLAB_CI = Profile(
    name="gitlab-ci",
    types=frozenset({"jwt", ""}),
    kind=kind_of,
    caller_picks_audience=True,
    pinning_claims=frozenset(
        {"project_id", "namespace_id", "job_project_id", "job_namespace_id", "user_id"},
    ),
    mutable_claims=frozenset(
        {
            "sub",  # its layout is configured per project
            "project_path",
            "namespace_path",
            "job_project_path",
            "job_namespace_path",
            "user_login",
            "user_email",
            "groups_direct",
        }
    ),
    caller_chosen_claims=frozenset({"aud", "ref", "ref_path", "environment", "environment_action", "sha"}),
    groups_claims=("groups_direct",),
    audit_claims=(
        "project_id",
        "project_path",
        "job_project_id",
        "namespace_id",
        "user_id",
        "user_login",
        "pipeline_id",
        "pipeline_source",
        "job_id",
        "ref",
        "ref_type",
        "ref_protected",
        "environment",
        "sha",
        "jti",
    ),
    session_claim="job_id",
    must_name=must_name,
)
