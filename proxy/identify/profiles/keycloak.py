"""
Keycloak access tokens.

The same realm keys sign ID, refresh and logout tokens; the *claim* `typ` tells them apart. The
header `typ` is `JWT`, or `at+jwt` for clients that have `access.token.header.type.rfc9068` on
(off by default). Roles are not groups here: `resource_access` holds the roles of every client,
so an operator names the one that counts in a binding, as a JSON Pointer.
"""

from proxy.identify.interfaces import Claims
from proxy.identify.profiles.generic import actor_of, refuse_unreadable_actor
from proxy.identify.profiles.interfaces import Profile
from proxy.model.identity import IdentityKind


def kind_of(claims: Claims) -> IdentityKind:
    """Tell an agent by `act` and a service by the name that Keycloak gives to service accounts."""
    if "act" in claims:
        return IdentityKind.AGENT
    client = claims.get("client_id", claims.get("azp"))
    if isinstance(client, str) and claims.get("preferred_username") == f"service-account-{client.lower()}":
        return IdentityKind.WORKLOAD
    return IdentityKind.HUMAN


def refuse(claims: Claims) -> str | None:
    """Refuse what Keycloak signed for another purpose than access."""
    if claims.get("typ") != "Bearer":
        return f"claim `typ` must be `Bearer`, got `{str(claims.get('typ'))[:32]}`"
    return refuse_unreadable_actor(claims)


KEYCLOAK = Profile(
    name="keycloak",
    types=frozenset({"jwt", "at+jwt"}),
    kind=kind_of,
    mutable_claims=frozenset({"email", "preferred_username", "name", "given_name", "family_name"}),
    groups_claims=("groups",),
    audit_claims=("azp", "client_id", "preferred_username", "sid", "jti", "act"),
    session_claim="sid",
    refuse=refuse,
    actor=actor_of,
)
