"""The limits of every route, and what lives on when the configuration is loaded anew."""

from collections.abc import Collection, Iterator

from proxy.limit.admission import Admission, Limit, Places
from proxy.limit.presence import Presence
from proxy.limit.table import Table
from proxy.model.rate_limit import RateLimit
from proxy.model.route import Route


class Admissions:
    """
    Makes the admission of each route.

    What was used of a limit, and who is in flight, is kept by name: a reload gives nobody a new budget.
    `table` and `presence` may be set before the first admission is made, to what other processes share.
    """

    __slots__ = ("_places", "_tallies", "presence", "table")

    def __init__(self) -> None:
        self.table: Table | None = None
        self.presence: Presence | None = None
        self._places: dict[str, Places] = {}
        self._tallies: dict[str, list[int]] = {}

    def open(self, limits: Collection[str], max_entries: int) -> None:
        """Make the table, if there are limits (names) and nobody has brought one."""
        if self.table is None and limits:
            self.table = Table.create(max_entries)

    def route(self, route: Route) -> Admission | None:
        """Return the admission of a route, None if it has no limits."""
        if not route.rate_limits and route.max_in_flight is None:
            return None
        places = self._places.setdefault(route.name, Places(self.presence, route.name))
        roles = frozenset(role for rule in route.policy.allow for role in rule.roles)
        limits = tuple(self._limit(limit, route.name, roles) for limit in route.rate_limits)
        return Admission(limits, self.table, places, route.max_in_flight, route.name)

    def door(self, limits: tuple[RateLimit, ...]) -> Admission | None:
        """Return the admission of every request, whatever its route, None if there are no limits."""
        if not limits:
            return None
        return Admission(tuple(self._limit(limit, "", frozenset()) for limit in limits), self.table, Places())

    def keep(self, routes: Collection[str], limits: Collection[str]) -> None:
        """Forget the numbers of all other routes and rate limits, except of routes still in use."""
        for name, places in list(self._places.items()):
            if name not in routes and not places.in_flight:
                del self._places[name]
        for name in self._tallies.keys() - limits:
            del self._tallies[name]

    def refused(self) -> Iterator[tuple[str, int]]:
        """Yield each rate limit with how many requests it refused."""
        # A copy, here and below: a reload that is being staged on a thread may add some meanwhile.
        for name, tally in list(self._tallies.items()):
            yield name, tally[0]

    def places(self) -> Iterator[tuple[str, Places]]:
        """Yield each limited route with its places."""
        yield from list(self._places.items())

    def _limit(self, limit: RateLimit, route: str, roles: frozenset[str]) -> Limit:
        return Limit(limit, route, roles, self._tallies.setdefault(limit.name, [0]))

    def __repr__(self) -> str:
        return f"<Admissions [{len(self._places)} routes, {len(self._tallies)} rate limits]>"
