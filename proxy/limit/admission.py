"""
What a route, or the door, admits of what policy allows.

Law: all limits are asked before any is charged, so that a refused request costs its caller nothing. The
decisions are prebuilt; a refusal names the limit as its rule. A limit that does not apply to a
caller (per identity, and nobody is known) is passed over: settings let no route rely on it.
"""

from collections.abc import Iterable
from math import ceil

from proxy.limit.gcra import Quota, Standing, judge
from proxy.limit.presence import Presence
from proxy.limit.table import Table
from proxy.model.decision import Decision, Reason
from proxy.model.identity import Identity
from proxy.model.network import client_network
from proxy.model.rate_limit import Per, RateLimit
from proxy.model.verdict import Verdict

ADMITTED = Verdict(None, b"")

# The budgets of a request that a limit is not about.
_NOBODY: tuple[str, ...] = ()


class Places:
    """
    How many requests of one route are in flight here, and how many were shed; lives longer than a reload.

    With a `presence` others serve the route as well, and `total` counts theirs too.
    """

    __slots__ = ("_cell", "_presence", "in_flight", "shed")

    def __init__(self, presence: Presence | None = None, route: str = "") -> None:
        self.in_flight = 0
        self.shed = 0
        self._presence = presence
        self._cell = 0 if presence is None else presence.cell_of_route(route)

    def total(self) -> int:
        """Return how many are in flight in all processes."""
        return self.in_flight if self._presence is None else self._presence.total(self._cell)

    def count(self, step: int) -> None:
        """Count one more, or one less with a `step` of -1."""
        self.in_flight += step
        if self._presence is not None:
            self._presence.add(self._cell, step)

    def __repr__(self) -> str:
        return f"<Places [{self.in_flight} in flight, {self.shed} shed]>"


class Limit:
    """One rate limit, ready to be asked on one route; `refused` counts by limit, not by route."""

    __slots__ = ("_budgets", "_per", "_prefix", "_roles", "name", "quota", "refusal", "tally")

    def __init__(self, limit: RateLimit, route: str, allowed_roles: frozenset[str], tally: list[int]) -> None:
        self.name = limit.name
        self.quota = Quota(limit.window_s / limit.count, limit.burst)
        self.refusal = Decision(allowed=False, reason=Reason.RATE_LIMITED, rule=f"rate_limits.{limit.name}")
        self.tally = tally
        self._per = limit.per
        self._roles = limit.roles
        self._budgets = limit.roles or allowed_roles
        # No name holds a NUL, so that no two limits can mean the same budget.
        self._prefix = f"{limit.name}\0{route}\0" if limit.per is Per.ROUTE else f"{limit.name}\0"

    def keys(self, identity: Identity | None, client: str) -> Iterable[str]:
        """Return the names of the budgets that a request counts against."""
        if self._roles and (identity is None or identity.roles.isdisjoint(self._roles)):
            return _NOBODY
        prefix = self._prefix
        if self._per is Per.CLIENT:
            return (prefix + client_network(client),)
        if self._per is Per.ROUTE:
            return (prefix,)
        if identity is None:
            return _NOBODY
        if self._per is Per.IDENTITY:
            return (f"{prefix}{identity.issuer}\0{identity.subject}",)
        return [prefix + role for role in identity.roles & self._budgets]


class Admission:
    """
    The limits of one route, or of the door.

    `max_in_flight` is None for no limit. Who is let in by `admit` calls `leave` once.
    """

    __slots__ = ("_limits", "_overloaded", "_policies", "_table", "max_in_flight", "places")

    def __init__(
        self,
        limits: tuple[Limit, ...],
        table: Table | None,
        places: Places,
        max_in_flight: int | None = None,
        name: str = "",
    ) -> None:
        self._limits = limits
        self._table = table
        self.places = places
        self.max_in_flight = max_in_flight
        self._overloaded = Verdict(
            Decision(allowed=False, reason=Reason.OVERLOADED, rule=f"{name}.max_in_flight"), b""
        )
        self._policies = policies(limits)

    def admit(self, identity: Identity | None, client: str, now: float) -> Verdict:
        """Let a request in, or say which limit refuses it; `now` is monotonic and shared by all processes."""
        places = self.places
        if self.max_in_flight is not None and places.total() >= self.max_in_flight:
            places.shed += 1
            return self._overloaded
        verdict = ADMITTED if self._table is None else self._ask(self._table, identity, client, now)
        if verdict.refusal is None:
            places.count(1)
        return verdict

    def leave(self) -> None:
        """Give a place back."""
        self.places.count(-1)

    def _ask(self, table: Table, identity: Identity | None, client: str, now: float) -> Verdict:
        asked: list[tuple[Limit, int, Standing]] = []
        refusing: Limit | None = None
        for limit in self._limits:
            for text in limit.keys(identity, client):
                key = table.key_of(text)
                standing = judge(table.get(key, now), now, limit.quota)
                asked.append((limit, key, standing))
                if not standing.is_within and refusing is None:
                    refusing = limit
        if refusing is not None:
            refusing.tally[0] += 1
            wait_s = max(standing.retry_after_s for _, _, standing in asked)
            retry = b"Retry-After: %d\r\n" % max(1, ceil(wait_s))
            return Verdict(refusing.refusal, retry + self._policies + standings(asked))
        for _, key, standing in asked:
            table.put(key, standing.paid_until, now)
        return Verdict(None, self._policies + standings(asked)) if asked else ADMITTED

    def __repr__(self) -> str:
        names = ", ".join(limit.name for limit in self._limits)
        return f"<Admission [{names}] max_in_flight={self.max_in_flight}>"


def policies(limits: Iterable[Limit]) -> bytes:
    """Return the line that states the limits (draft-ietf-httpapi-ratelimit-headers, RateLimit-Policy)."""
    items = [
        f'"{limit.name}";q={limit.quota.burst};w={max(1, ceil(limit.quota.depth_s))}' for limit in limits
    ]
    return f"RateLimit-Policy: {', '.join(items)}\r\n".encode()


def standings(asked: list[tuple[Limit, int, Standing]]) -> bytes:
    """Return the line that says what is left (draft-ietf-httpapi-ratelimit-headers, RateLimit)."""
    if len(asked) == 1:
        limit, _, standing = asked[0]
        return b'RateLimit: "%b";r=%d;t=%d\r\n' % (
            limit.name.encode(),
            standing.remaining,
            ceil(standing.full_after_s),
        )
    # A limit per role can have several budgets; what counts is the one that is used up most.
    least: dict[str, Standing] = {}
    for limit, _, standing in asked:
        known = least.get(limit.name)
        if known is None or standing.remaining < known.remaining:
            least[limit.name] = standing
    items = [f'"{name}";r={one.remaining};t={ceil(one.full_after_s)}' for name, one in least.items()]
    return f"RateLimit: {', '.join(items)}\r\n".encode()
