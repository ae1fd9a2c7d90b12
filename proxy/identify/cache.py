"""
Identities of tokens that were verified before.

Law: an entry is never found from its identity's `expires_at` on, is forgotten when its issuer's keys
change, and is found only by the whole token. What depends on the route (the audience, the policy)
is no part of it.
"""

from collections import OrderedDict
from hashlib import sha256

from proxy.model.identity import Identity


def digest_of(unverified_token: bytes) -> bytes:
    """Return what stands for a token where it is kept: nothing that a memory dump could give away."""
    return sha256(unverified_token).digest()


class TokenCache:
    """
    Holds at most `max_entries` identities; the one not asked for the longest goes first.

    A token is named by its digest (`digest_of`).
    """

    __slots__ = ("_entries", "_max_entries", "hits", "misses")

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        # Not a library's cache that knows times to live: keeping its entries in their order costs
        # 8 µs a token. One that has ended is dropped when it is asked for, or when its turn comes.
        self._entries: OrderedDict[bytes, Identity] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def get(self, digest: bytes, now: float) -> Identity | None:
        """Return the identity of a token that was verified and is valid at `now`, and count the question."""
        identity = self.look(digest, now)
        if identity is None:
            self.misses += 1
        else:
            self.hits += 1
        return identity

    def look(self, digest: bytes, now: float) -> Identity | None:
        """Return the same without counting."""
        entries = self._entries
        identity = entries.get(digest)
        if identity is None:
            return None
        if now >= identity.expires_at:
            del entries[digest]
            return None
        entries.move_to_end(digest)
        return identity

    def put(self, digest: bytes, identity: Identity, now: float) -> None:
        """Remember an identity until it expires."""
        entries = self._entries
        entries.pop(digest, None)
        if now >= identity.expires_at:
            return
        if len(entries) >= self._max_entries:
            entries.popitem(last=False)
        entries[digest] = identity

    def count_on(self, previous: "TokenCache") -> None:
        """Go on with the counts of a cache that this one replaces, and with none of its entries."""
        self.hits, self.misses = self.hits + previous.hits, self.misses + previous.misses

    def forget(self, issuer: str) -> None:
        """Forget every identity of an issuer (an alias)."""
        for key in [key for key, identity in self._entries.items() if identity.issuer == issuer]:
            del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<TokenCache {len(self)} entries, {self.hits} hits, {self.misses} misses>"
