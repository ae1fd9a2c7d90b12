"""
What this step needs from others, and the two values that pass between its own modules.

Law: only `jwt.verify` makes `SignedClaims`, so claims that nobody signed cannot become an identity.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NewType, Protocol

from proxy.model.decision import Reason
from proxy.model.identity import IdentityKind, RoleGrant

Claims = Mapping[str, object]
"""The members of a token's payload, whether or not anybody signed them."""

SignedClaims = NewType("SignedClaims", dict[str, object])
"""Claims whose signature, times and issuer were verified."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    Why a token is not believed.

    `detail` is for the operator's eyes and may quote the token's header and claims. `issuer` is
    the alias of the configured issuer that the token names, None as long as that is not known.
    """

    reason: Reason
    detail: str
    issuer: str | None = None


class RoleMapper(Protocol):
    """Knows the bindings."""

    def roles_of(
        self,
        issuer: str,
        claims: Claims,
        groups: frozenset[str] | None,
        must_name: frozenset[str],
        now: float,
    ) -> RoleGrant:
        """
        Return the roles that the bindings of `issuer` (an alias) give.

        A binding counts only if it has a condition on every claim in `must_name`: those are
        claims that say the run was started by somebody the project does not control.
        """
        ...


HeaderLines = Callable[[str, str, frozenset[str]], bytes]
"""(issuer, subject, roles) → the header lines that tell the upstream who asks."""

AuditFields = Callable[[str, str, IdentityKind, Claims, frozenset[str]], str]
"""(issuer, subject, kind, claims of the profile's allow list, roles) → JSON members of the record."""


class Fetch(Protocol):
    """Gets one document of an identity provider."""

    async def __call__(self, url: str, *, timeout_s: float, max_bytes: int, ca_file: Path | None) -> bytes:
        """
        Return the body of a 200 answer.

        Raises IssuerError for everything else: another status (redirects too), a body longer
        than `max_bytes`, no answer within `timeout_s`.
        """
        ...
