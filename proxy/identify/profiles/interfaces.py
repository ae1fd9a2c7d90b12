"""
What there is to know about one kind of identity provider.

A profile is data and pure functions of claims. The functions see claims that are signed: they
decide what a token means, never whether it is genuine.
"""

from collections.abc import Callable
from dataclasses import dataclass

from proxy.identify.interfaces import Claims
from proxy.model.identity import IdentityKind

NOTHING: frozenset[str] = frozenset()


def never_refuse(claims: Claims) -> str | None:
    """Refuse nothing."""
    del claims
    return None


def name_nothing(claims: Claims) -> frozenset[str]:
    """Ask bindings for nothing in particular."""
    del claims
    return NOTHING


def never_earlier(claims: Claims) -> float | None:
    """Leave the end to `exp`."""
    del claims
    return None


def no_actor(claims: Claims) -> str | None:
    """Know of nobody who acts for the subject."""
    del claims
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """
    One provider's claims and traps.

    types: `typ` headers welcome by default, lower case; an empty string is a header without it.
    caller_picks_audience: whoever runs a job there writes `aud`, so the audience says what a
        token is for and nothing about who sent it; a binding must pin one of `pinning_claims`.
    pinning_claims: ids that are never reused or renamed.
    mutable_claims: names that another can take over later; never the only condition.
    caller_chosen_claims: values that somebody who may start a run can set as they like.
    groups_claims: where groups are, by default.
    audit_claims: what the audit record keeps, and nothing else.
    session_claim: what ties tokens to one session, job or run.

    kind: what sort of caller this is. refuse: why such a token is no credential at all, or None.
    must_name: the claims that a binding has to match on for this token to count. expires_at: an
    end (epoch seconds) earlier than `exp`, or None. actor: who acts for the subject, or None.
    """

    name: str
    types: frozenset[str]
    kind: Callable[[Claims], IdentityKind]
    caller_picks_audience: bool = False
    pinning_claims: frozenset[str] = NOTHING
    mutable_claims: frozenset[str] = NOTHING
    caller_chosen_claims: frozenset[str] = NOTHING
    groups_claims: tuple[str, ...] = ()
    audit_claims: tuple[str, ...] = ()
    session_claim: str | None = None
    refuse: Callable[[Claims], str | None] = never_refuse
    must_name: Callable[[Claims], frozenset[str]] = name_nothing
    expires_at: Callable[[Claims], float | None] = never_earlier
    actor: Callable[[Claims], str | None] = no_actor
