"""
Kubernetes service account tokens (bound, from TokenRequest or a projected volume).

The API server stretches `exp` of automatic tokens to as much as a year and keeps the moment that
was asked for in `warnafter`: that moment is the end here. The header has no `typ`. Many clusters
share the issuer `https://kubernetes.default.svc.cluster.local`; each needs keys of its own.
"""

from proxy.identify.interfaces import Claims
from proxy.identify.profiles.interfaces import Profile
from proxy.model.identity import IdentityKind

MEMBER = "kubernetes.io"


def kind_of(claims: Claims) -> IdentityKind:
    """A service account is a workload."""
    del claims
    return IdentityKind.WORKLOAD


def expires_at(claims: Claims) -> float | None:
    """Return `warnafter` where the token has one."""
    warn_after = _bound(claims).get("warnafter")
    if isinstance(warn_after, int | float) and not isinstance(warn_after, bool):
        return float(warn_after)
    return None


def refuse(claims: Claims) -> str | None:
    """Refuse what is not a bound token of a service account."""
    bound = _bound(claims)
    if not isinstance(bound.get("serviceaccount"), dict) or not isinstance(bound.get("namespace"), str):
        return f"claim `{MEMBER}` must name a namespace and a service account"
    # An end that cannot be read must not turn into the year that `exp` gives.
    if "warnafter" in bound and expires_at(claims) is None:
        return f"`warnafter` in claim `{MEMBER}` must be a number"
    return None


def _bound(claims: Claims) -> dict[str, object]:
    bound = claims.get(MEMBER)
    return bound if isinstance(bound, dict) else {}


KUBERNETES = Profile(
    name="kubernetes",
    types=frozenset({"", "jwt"}),
    kind=kind_of,
    caller_picks_audience=True,
    pinning_claims=frozenset(
        {
            "sub",
            f"/{MEMBER}/namespace",
            f"/{MEMBER}/serviceaccount/name",
            f"/{MEMBER}/serviceaccount/uid",
        }
    ),
    caller_chosen_claims=frozenset({"aud", f"/{MEMBER}/pod/name"}),
    audit_claims=(MEMBER, "jti"),
    refuse=refuse,
    expires_at=expires_at,
)
