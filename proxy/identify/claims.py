"""
Signed claims become an identity.

Claims stay as they came: control characters, odd spellings and missing members are data, and the
encoders of header lines and records, which are handed in, know how to write them safely.
"""

from dataclasses import dataclass

from proxy.identify.binding import certificate_of
from proxy.identify.interfaces import AuditFields, Claims, HeaderLines, RoleMapper
from proxy.identify.issuers import Issuer
from proxy.identify.jwt import Verified
from proxy.identify.registered import audiences_of, end_of, time_of
from proxy.model.identity import Identity


@dataclass(frozen=True, slots=True)
class IdentityBuilder:
    """Builds identities with the roles that a mapper gives."""

    mapper: RoleMapper
    header_lines: HeaderLines
    audit_fields: AuditFields

    def build(self, verified: Verified, now: float) -> Identity:
        """Return who a verified token speaks of, valid until the first of the ends that apply."""
        claims, issuer = verified.claims, verified.issuer
        profile = issuer.profile
        subject = str(claims["sub"])
        kind = profile.kind(claims)
        groups = groups_of(claims, issuer.names_of_groups)
        grant = self.mapper.roles_of(issuer.alias, claims, groups, profile.must_name(claims), now)
        kept = {name: claims[name] for name in profile.audit_claims if name in claims}
        return Identity(
            issuer=issuer.alias,
            subject=subject,
            kind=kind,
            roles=grant.roles,
            claims=claims,
            audiences=audiences_of(claims),
            groups=groups,
            session=session_of(claims, issuer),
            actor=profile.actor(claims),
            expires_at=min(
                end_of(claims, issuer), time_of(claims, "iat") + issuer.max_lifetime_s, grant.until
            ),
            header_lines=self.header_lines(issuer.alias, subject, grant.roles),
            certificate=certificate_of(claims),
            audit_fields=self.audit_fields(issuer.alias, subject, kind, kept, grant.roles),
        )


def session_of(claims: Claims, issuer: Issuer) -> str | None:
    """Return what ties the token to a session, job or run."""
    name = issuer.profile.session_claim
    session = None if name is None else claims.get(name)
    return session if isinstance(session, str) else None


def groups_of(claims: Claims, names: tuple[str, ...]) -> frozenset[str] | None:
    """
    Return the groups in the named claims together, None where the token does not say.

    "Does not say" is not "in no group". It covers a claim that is no list of texts, and Entra's
    overage: past 200 groups `_claim_names` or `hasgroups` stands where the groups would.
    """
    if "hasgroups" in claims or _is_overflowing(claims, names):
        return None
    groups: set[str] = set()
    is_stated = False
    for name in names:
        value = claim_at(claims, name)
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(group, str) for group in value):
            return None
        groups.update(value)
        is_stated = True
    return frozenset(groups) if is_stated else None


def claim_at(claims: Claims, name: str) -> object:
    """
    Return a claim by its exact name, or by a JSON Pointer (RFC 6901) if it starts with `/`.

    A pointer steps through objects only. None where there is nothing.
    """
    if not name.startswith("/"):
        return claims.get(name)
    value: object = claims
    for part in name[1:].split("/"):
        if not isinstance(value, dict):
            return None
        value = value.get(part.replace("~1", "/").replace("~0", "~"))
    return value


def _is_overflowing(claims: Claims, names: tuple[str, ...]) -> bool:
    elsewhere = claims.get("_claim_names")
    return isinstance(elsewhere, dict) and any(name in elsewhere for name in names)
