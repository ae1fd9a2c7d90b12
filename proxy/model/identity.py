"""Who asks, after the credential was verified."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class IdentityKind(StrEnum):
    """What sort of caller an identity is."""

    HUMAN = "human"
    WORKLOAD = "workload"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Identity:
    """
    A verified caller with the roles its claims give it.

    `issuer` is the configured alias; the pair (issuer, subject) is the key, never subject alone,
    since subjects of two issuers collide. Built once per token. `expires_at` (epoch seconds) is
    the earliest of the token's end, the issuer's lifetime cap and the end of a binding that gave
    a role; past it the token is verified anew. `groups` is None where the token does not say.
    `certificate` is the thumbprint of the client certificate without which the token is worth
    nothing (RFC 8705 section 3.1), None for one that its bearer may use.
    `header_lines` and `audit_fields` (JSON members) are the identity as the upstream and the audit record see
    it, encoded once because every request of the token needs them.
    """

    issuer: str
    subject: str
    kind: IdentityKind
    roles: frozenset[str]
    claims: Mapping[str, object]
    audiences: frozenset[str]
    groups: frozenset[str] | None
    session: str | None
    actor: str | None
    expires_at: float
    header_lines: bytes
    audit_fields: str
    certificate: str | None = None

    def __repr__(self) -> str:
        return f"<Identity {self.issuer}:{self.subject} {self.kind} roles={sorted(self.roles)}>"


class RoleGrant(NamedTuple):
    """
    The roles that the bindings give a set of claims.

    `until` (epoch seconds) is the earliest end among the bindings that matched, inf where none ends.
    """

    roles: frozenset[str]
    until: float
