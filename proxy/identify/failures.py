"""
Tokens that were refused a moment ago.

Law: an entry only ever refuses, for no longer than `ttl_s`, and is found only by the whole token. It lives
apart from verified tokens, so that no flood of bad ones can push out a good one. What newer keys
could turn into a yes is forgotten when they come, and passed over while a fetch of them may be made;
that there are no keys is never remembered.
"""

from collections import OrderedDict
from typing import NamedTuple

from proxy.identify.interfaces import Refusal
from proxy.model.decision import DENIALS, Decision, Reason

# A token that becomes valid is not kept waiting for long.
NOT_YET_VALID_S = 1.0

NEVER_REMEMBERED = frozenset({Reason.KEYS_UNAVAILABLE})


class Failure(NamedTuple):
    """
    The decision that refuses a token from `since` until `until` (epoch seconds).

    `issuer` is the alias of the issuer it names, None if that is none of ours.
    """

    decision: Decision
    issuer: str | None
    since: float
    until: float


class FailureCache:
    """Holds at most `max_entries` refusals; the oldest goes first. A token is named by its digest."""

    __slots__ = ("_entries", "_max_entries", "_ttl_s", "hits")

    def __init__(self, max_entries: int = 10_000, ttl_s: float = 10.0) -> None:
        self._max_entries = max_entries
        self._ttl_s = ttl_s
        self._entries: OrderedDict[bytes, Failure] = OrderedDict()
        self.hits = 0

    def get(self, digest: bytes, now: float) -> Failure | None:
        """Return how the token was refused, if that was a moment ago, and count that it was asked for."""
        failure = self.look(digest, now)
        self.hits += failure is not None
        return failure

    def look(self, digest: bytes, now: float) -> Failure | None:
        """Return the same without counting."""
        failure = self._entries.get(digest)
        # A clock that was set back must not keep an entry alive.
        return failure if failure is not None and failure.since <= now < failure.until else None

    def put(self, digest: bytes, refusal: Refusal, now: float) -> None:
        """Remember a refusal, unless the next look could well end otherwise."""
        if refusal.reason in NEVER_REMEMBERED:
            return
        ttl_s = self._ttl_s
        if refusal.reason is Reason.TOKEN_NOT_YET_VALID:
            ttl_s = min(ttl_s, NOT_YET_VALID_S)
        entries = self._entries
        entries.pop(digest, None)
        if len(entries) >= self._max_entries:
            entries.popitem(last=False)
        entries[digest] = Failure(DENIALS[refusal.reason], refusal.issuer, now, now + ttl_s)

    def forget(self, issuer: str) -> None:
        """Forget every refusal of tokens that name this issuer (an alias)."""
        for key in [key for key, failure in self._entries.items() if failure.issuer == issuer]:
            del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<FailureCache {len(self)} entries, {self.hits} hits>"
