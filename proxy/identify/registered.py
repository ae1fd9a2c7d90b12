"""
RFC 7519, 4.1 registered claims: which must be there, of what type, and what the times mean.

Booleans are not numbers and texts are not numbers: a library that is kinder than that would make
`"exp": "9999999999"` or `"exp": true` mean something.
"""

from typing import Final, cast

from proxy.identify.interfaces import Claims, Refusal
from proxy.identify.issuers import Issuer
from proxy.model.decision import Reason

# OpenID Connect Core, 2: a subject has at most 255 characters.
MAX_SUBJECT_CHARS: Final = 255


def check_claims(claims: Claims, issuer: Issuer) -> Refusal | None:
    """Demand the claims that everything else relies on, each of its type."""
    fault = None
    subject = claims.get("sub")
    if not is_number(claims.get("exp")) or not is_number(claims.get("iat")):
        fault = "`exp` and `iat` must be numbers"
    elif "nbf" in claims and not is_number(claims["nbf"]):
        fault = "`nbf` must be a number"
    elif not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT_CHARS:
        fault = f"`sub` must be text of 1 to {MAX_SUBJECT_CHARS} characters"
    elif not audiences_of(claims):
        fault = "`aud` must be text or a list of texts"
    return None if fault is None else Refusal(Reason.CLAIMS_MALFORMED, fault, issuer.alias)


def check_times(claims: Claims, issuer: Issuer, now: float) -> Refusal | None:
    """Compare the times of checked claims, with the leeway for clocks that differ."""
    issued_at, ends_at = time_of(claims, "iat"), end_of(claims, issuer)
    valid_from = max(issued_at, time_of(claims, "nbf")) if "nbf" in claims else issued_at
    if now >= ends_at + issuer.leeway_s:
        return Refusal(Reason.TOKEN_EXPIRED, f"expired {now - ends_at:.0f} s ago", issuer.alias)
    if now + issuer.leeway_s < valid_from:
        detail = f"valid from or issued at a time {valid_from - now:.0f} s ahead"
        return Refusal(Reason.TOKEN_NOT_YET_VALID, detail, issuer.alias)
    # No leeway: the cap is our own. A token that lives longer is not refused at once, it dies early.
    if now >= issued_at + issuer.max_lifetime_s:
        detail = f"issued {now - issued_at:.0f} s ago, believed for {issuer.max_lifetime_s:.0f} s"
        return Refusal(Reason.LIFETIME_EXCEEDED, detail, issuer.alias)
    return None


def end_of(claims: Claims, issuer: Issuer) -> float:
    """Return the end of a token by its own words: `exp`, or earlier if the profile knows better."""
    earlier = issuer.profile.expires_at(claims)
    expires_at = time_of(claims, "exp")
    return expires_at if earlier is None else min(expires_at, earlier)


def audiences_of(claims: Claims) -> frozenset[str]:
    """Return whom the token is for; empty if `aud` is missing or not well-formed."""
    audience = claims.get("aud")
    if isinstance(audience, str):
        return frozenset((audience,)) if audience else frozenset()
    names = audience if isinstance(audience, list) else [audience]
    if not all(isinstance(name, str) and name for name in names):
        return frozenset()
    return frozenset(names)


def time_of(claims: Claims, name: str) -> float:
    """Return a claim that `check_claims` found to be a number (epoch seconds)."""
    return cast("float", claims[name])


def is_number(value: object) -> bool:
    """Whether a claim is a NumericDate (RFC 7519, 2)."""
    return isinstance(value, int | float) and not isinstance(value, bool)
