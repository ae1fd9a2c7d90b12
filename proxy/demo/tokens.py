"""
Development tokens: claims in the shape of a provider's, signed with a development key.

The shapes have the members and types that the providers send, with made-up values; whoever mints a
token says what differs. Times are epoch seconds.
"""

from collections.abc import Mapping

from proxy.demo.keys import DevelopmentKey

Claims = dict[str, object]

LIFETIME_S = 3600

# GitLab back-dates `nbf` by as much.
_NOT_BEFORE_S = 5

_GITLAB: Claims = {
    "sub": "project_path:platform/deployer:ref_type:branch:ref:main",
    "namespace_id": "41",
    "namespace_path": "platform",
    "project_id": "7301",
    "project_path": "platform/deployer",
    "user_id": "88",
    "user_login": "mira",
    "user_email": "mira@example.com",
    "user_access_level": "maintainer",
    "pipeline_id": "90211",
    "pipeline_source": "push",
    "job_id": "455120",
    "ref": "main",
    "ref_type": "branch",
    "ref_path": "refs/heads/main",
    "ref_protected": "true",
    "environment": "production",
    "environment_protected": "true",
    "deployment_tier": "production",
    "runner_id": 15,
    "runner_environment": "self-hosted",
    "sha": "3b9f0d8d6b0f1b7f1d1f0c2ad1a7d6a1b2c3d4e5",
    "project_visibility": "private",
}

_GITHUB: Claims = {
    "sub": "repo:example/deployer:ref:refs/heads/main",
    "repository": "example/deployer",
    "repository_id": "7301",
    "repository_owner": "example",
    "repository_owner_id": "41",
    "actor": "mira",
    "actor_id": "88",
    "event_name": "push",
    "ref": "refs/heads/main",
    "ref_type": "branch",
    "ref_protected": "true",
    "job_workflow_ref": "example/deployer/.github/workflows/deploy.yml@refs/heads/main",
    "run_id": "90211",
    "run_attempt": "1",
    "runner_environment": "github-hosted",
    "sha": "3b9f0d8d6b0f1b7f1d1f0c2ad1a7d6a1b2c3d4e5",
}

_KUBERNETES: Claims = {
    "sub": "system:serviceaccount:platform:deployer",
    "kubernetes.io": {
        "namespace": "platform",
        "serviceaccount": {"name": "deployer", "uid": "6f1c2f1e-0f0b-4e0a-9a53-3f6f5a1b7c21"},
        "pod": {"name": "deployer-5d9c7", "uid": "0b1d7c2e-8a44-4f7e-bb0e-2f4f5d1c9a10"},
    },
}

_KEYCLOAK: Claims = {
    "sub": "5b0c9a1e-7e1d-4a53-9d0a-1f2e3d4c5b6a",
    "typ": "Bearer",
    "azp": "deploy-tool",
    "preferred_username": "mira",
    "email": "mira@example.com",
    "groups": ["platform"],
    "sid": "9d1f2c3b-4a5e-6f70-8192-a3b4c5d6e7f8",
}

_GENERIC: Claims = {"sub": "deploy-tool", "client_id": "deploy-tool"}

SHAPES: Mapping[str, Claims] = {
    "generic": _GENERIC,
    "gitlab-ci": _GITLAB,
    "github-actions": _GITHUB,
    "kubernetes": _KUBERNETES,
    "keycloak": _KEYCLOAK,
}
"""What a token of each profile says beside the registered claims."""


def registered(issuer: str, audience: str | list[str], now: float, lifetime_s: float = LIFETIME_S) -> Claims:
    """Return the claims that every token has (RFC 7519, 4.1), apart from the subject."""
    issued_at = int(now)
    return {
        "iss": issuer,
        "aud": audience,
        "iat": issued_at,
        "nbf": issued_at - _NOT_BEFORE_S,
        "exp": issued_at + int(lifetime_s),
    }


def mint(key: DevelopmentKey, *claims: Claims, algorithm: str = "", typ: str = "JWT") -> str:
    """Return a token with all `claims`, the later ones over the earlier."""
    merged: Claims = {}
    for layer in claims:
        merged.update(layer)
    return key.sign(merged, algorithm or key.algorithms[0], typ)
