"""
What becomes of connection pools when a configuration follows another.

Law: a pool whose upstream did not change goes on with its connections. One that is not configured any
more ends when the last request that may use it has: until then its deadlines are kept.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from proxy.live import Live
from proxy.model.lease import Lease
from proxy.model.upstream import Upstream


class Lender(Protocol):
    """A pool as its end needs it."""

    @property
    def upstream(self) -> Upstream:
        """What it connects to, and within which limits."""

    @property
    def busy_count(self) -> int:
        """Connections that carry a request."""

    @property
    def waiting_count(self) -> int:
        """Requests that wait for a connection."""

    def sweep(self, now: float) -> None:
        """Close what has waited too long."""

    def drain(self) -> None:
        """Close idle connections now, and the others as their requests end."""

    def close(self) -> None:
        """Drop every connection."""


LenderT = TypeVar("LenderT", bound=Lender)


def succeed(
    previous: Mapping[str, LenderT], upstreams: Iterable[Upstream], make: Callable[[Upstream], LenderT]
) -> dict[str, LenderT]:
    """Return a pool for each upstream: the one there is where nothing about the upstream changed."""
    pools = {}
    for upstream in upstreams:
        found = previous.get(upstream.name)
        pools[upstream.name] = found if found is not None and found.upstream == upstream else make(upstream)
    return pools


class Retired:
    """Pools that no new request finds."""

    __slots__ = ("_leases", "_pools")

    def __init__(self) -> None:
        self._leases: list[weakref.ref[Lease]] = []
        self._pools: list[tuple[tuple[weakref.ref[Lease], ...], Lender]] = []

    def add(self, pools: Iterable[Lender], live: Live) -> None:
        """
        Keep `pools` until nobody holds `live`, the last configuration in which they stood, or one before it.

        Called with each reload: what it leaves in place may be left behind by a later one.
        """
        self._leases = [*(held for held in self._leases if held() is not None), weakref.ref(live.lease)]
        leases = tuple(self._leases)
        for pool in pools:
            pool.drain()
            self._pools.append((leases, pool))

    def sweep(self, now: float) -> None:
        """Keep deadlines, and end what nobody can use any more; called several times a second."""
        for entry in list(self._pools):
            leases, pool = entry
            pool.sweep(now)
            # A request may hold the old configuration without having come as far as its pool.
            if all(held() is None for held in leases) and not pool.busy_count and not pool.waiting_count:
                pool.close()
                self._pools.remove(entry)

    def close(self) -> None:
        """End all of them now."""
        for _, pool in self._pools:
            pool.close()
        self._pools.clear()

    def __len__(self) -> int:
        return len(self._pools)
