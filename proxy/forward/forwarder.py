"""
One upstream: its endpoints, which of them gets a request, and what happens when one fails.

Law: a request is sent again only where nobody can tell. Either no byte of it was written, or its
method is idempotent (RFC 9110 section 9.2.2), the whole of it is at hand and nothing of a response
has come through. Retries are a bounded share of the requests. If no endpoint stands well, all are
used: checks can be wrong, and to refuse without trying would make sure of the outage.

With one endpoint `acquire` is the pool's own, so that this module costs such an upstream nothing.
"""

import logging
from collections import Counter
from collections.abc import Callable

from proxy.forward.balance import choice_for
from proxy.forward.budget import Budget
from proxy.forward.health import HealthChecks
from proxy.forward.interfaces import Receiver
from proxy.forward.pool import Pool
from proxy.forward.standing import Standing, State
from proxy.forward.tls import ClientTls
from proxy.model.decision import Reason
from proxy.model.upstream import Upstream
from proxy.tasks import TaskOwner

log = logging.getLogger("rolegate.forward")

# A response timeout is not among them: the endpoint may still be at work, and the caller has waited.
WORTH_A_RETRY = frozenset({Reason.UPSTREAM_UNREACHABLE, Reason.UPSTREAM_RESET})


class Forwarder:
    """
    Finds a connection for a request to one upstream.

    `stale_retries` counts requests that met a connection which the upstream had closed meanwhile.
    """

    __slots__ = (
        "_available",
        "_choice",
        "_half_open",
        "_health",
        "acquire",
        "budget",
        "pools",
        "stale_retries",
        "upstream",
    )

    def __init__(self, upstream: Upstream, tasks: TaskOwner, clock: Callable[[], float]) -> None:
        self.upstream = upstream
        tls = ClientTls(upstream.tls) if any(endpoint.is_tls for endpoint in upstream.endpoints) else None
        self.pools = tuple(Pool(upstream, endpoint, tasks, clock, tls) for endpoint in upstream.endpoints)
        self.budget = Budget(upstream.retries)
        self.stale_retries = 0
        self._choice = choice_for(upstream.balance)
        self._available = self.pools
        self._half_open: tuple[Pool, ...] = ()
        self._health = None if upstream.health is None else HealthChecks(upstream.health, self.pools, tasks)
        self.acquire: Callable[[Receiver], None] = self.pools[0].acquire
        for pool in self.pools:
            pool.resend = self._resend
        if len(self.pools) > 1:
            self.acquire = self._spread
        if len(self.pools) > 1 or upstream.health is not None:
            for pool in self.pools:
                pool.standing = Standing(upstream.ejection, upstream.health, self._may_eject, self._restand)

    def cancel(self, receiver: Receiver) -> None:
        """Forget a request that waits for a connection."""
        for pool in self.pools:
            pool.cancel(receiver)

    def sweep(self, now: float) -> None:
        """Close what has waited too long, and begin the health checks that are due."""
        for pool in self.pools:
            pool.sweep(now)
        if self._health is not None:
            self._health.sweep(now)

    def drain(self) -> None:
        """Close idle connections now and the others as they end; for an upstream that is no more."""
        self._end_checks()
        for pool in self.pools:
            pool.drain()

    def close(self) -> None:
        """Drop every connection, those of health checks too."""
        self._end_checks()
        for pool in self.pools:
            pool.close()

    def _end_checks(self) -> None:
        if self._health is not None:
            self._health.close()

    @property
    def is_quiet(self) -> bool:
        """Whether no connection is left, so that a drained upstream can be forgotten."""
        return not any(pool.outstanding or pool.idle_count for pool in self.pools)

    @property
    def idle_count(self) -> int:
        """Connections that wait for a request."""
        return sum(pool.idle_count for pool in self.pools)

    @property
    def busy_count(self) -> int:
        """Connections that carry a request."""
        return sum(pool.busy_count for pool in self.pools)

    @property
    def connecting_count(self) -> int:
        """Connections that are being opened."""
        return sum(pool.connecting_count for pool in self.pools)

    @property
    def waiting_count(self) -> int:
        """Requests that wait for a connection."""
        return sum(pool.waiting_count for pool in self.pools)

    @property
    def failures(self) -> Counter[Reason]:
        """How often requests failed here, by reason."""
        return sum((Counter(pool.failures) for pool in self.pools), Counter())

    # Which endpoint.

    def _spread(self, receiver: Receiver) -> None:
        self.budget.earn()
        self._choose(receiver).acquire(receiver)

    def _choose(self, receiver: Receiver) -> Pool:
        for pool in self._half_open:
            standing = pool.standing
            if standing is not None and standing.take_probe(pool.now, is_replayable=receiver.is_replayable):
                return pool
        return self._preferred(receiver, self._available)

    def _preferred(self, receiver: Receiver, among: tuple[Pool, ...]) -> Pool:
        order = self._choice.order(among, lambda: receiver.affinity)
        return next((among[at] for at in order if not among[at].is_full), among[order[0]])

    def _restand(self) -> None:
        """Sort the endpoints by how they stand, after one has changed."""
        states = {pool: pool.standing.state for pool in self.pools if pool.standing is not None}
        good = tuple(pool for pool, state in states.items() if state is State.GOOD)
        self._half_open = tuple(pool for pool, state in states.items() if state is State.HALF_OPEN)
        self._available = good or self.pools
        log.warning(
            "upstream `%s`: %s",
            self.upstream.name,
            ", ".join(f"{pool.address} {states[pool]}" for pool in states),
        )

    def _may_eject(self) -> bool:
        away = sum(
            pool.standing is not None and pool.standing.state in (State.EJECTED, State.HALF_OPEN)
            for pool in self.pools
        )
        most = max(1, len(self.pools) * self.upstream.ejection.max_percent // 100)
        return len(self.pools) > 1 and away < most

    # Once more.

    def _resend(
        self, pool: Pool, receiver: Receiver, reason: Reason, *, was_sent: bool, is_stale: bool
    ) -> bool:
        failed = receiver.failed_addresses
        if reason not in WORTH_A_RETRY or (was_sent and not receiver.is_replayable):
            return False
        if is_stale and not failed:
            # Not the endpoint's failure: both sides may close an idle connection, and news take time.
            self.stale_retries += 1
            self._take_back(receiver, pool)
            pool.acquire_new(receiver)
            return True
        others = self._others((*failed, pool.address))
        if not others or len(failed) >= self.upstream.retries.attempts or not self.budget.has_some:
            return False
        self.budget.spend()
        pool.count(reason)
        self._take_back(receiver, pool)
        self._preferred(receiver, others).acquire(receiver)
        return True

    def _take_back(self, receiver: Receiver, pool: Pool) -> None:
        receiver.failed_addresses = (*receiver.failed_addresses, pool.address)
        receiver.take_back()

    def _others(self, tried: tuple[str, ...]) -> tuple[Pool, ...]:
        """Return the endpoints that have not failed this request, those that stand well if there are any."""
        others = tuple(pool for pool in self.pools if pool.address not in tried)
        return tuple(pool for pool in others if pool in self._available) or others

    def __repr__(self) -> str:
        return f"<Forwarder {self.upstream.name} [{len(self._available)} of {len(self.pools)} endpoints]>"
