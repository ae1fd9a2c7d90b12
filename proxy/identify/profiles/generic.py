"""
Any OpenID Connect or OAuth 2.0 issuer of signed access tokens.

RFC 9068 demands the header `typ: at+jwt`, but most servers still write `JWT` or nothing, so all
three are welcome unless the configuration narrows `typ`. An ID token of a person has the same
header; what keeps it out is its audience, which is the client's id and not ours.
"""

from proxy.identify.interfaces import Claims
from proxy.identify.profiles.interfaces import Profile
from proxy.model.identity import IdentityKind

CLIENT_CLAIMS = ("client_id", "azp", "cid", "appid")


def kind_of(claims: Claims) -> IdentityKind:
    """Tell an agent by `act`, a service by being its own client, and take the rest for people."""
    if "act" in claims:
        return IdentityKind.AGENT
    subject = claims.get("sub")
    is_own_client = subject in [claims.get(name) for name in CLIENT_CLAIMS]
    if is_own_client or claims.get("idtyp") == "app":
        return IdentityKind.WORKLOAD
    return IdentityKind.HUMAN


def actor_of(claims: Claims) -> str | None:
    """Return the party that acts now (RFC 8693, 4.1: the outermost `act`)."""
    act = claims.get("act")
    actor = act.get("sub") if isinstance(act, dict) else None
    return actor if isinstance(actor, str) else None


def refuse_unreadable_actor(claims: Claims) -> str | None:
    """Refuse a delegation that does not say to whom: it would pass for the subject in person."""
    if "act" in claims and not actor_of(claims):
        return "claim `act` must be an object with a text `sub`"
    return None


GENERIC = Profile(
    name="generic",
    types=frozenset({"at+jwt", "jwt", ""}),
    kind=kind_of,
    mutable_claims=frozenset({"email", "preferred_username", "upn", "unique_name", "name", "nickname"}),
    groups_claims=("groups",),
    audit_claims=("client_id", "azp", "jti", "sid", "tid", "oid", "email", "act"),
    session_claim="sid",
    refuse=refuse_unreadable_actor,
    actor=actor_of,
)
