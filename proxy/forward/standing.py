"""
Whether an endpoint may be asked: what its health checks say, and what requests have met there.

An endpoint that fails several times in a row is ejected: nothing is sent to it for a while. Then one
request at a time tries it (half-open); the first answer brings it back, the next failure sends it
away for twice as long.
"""

from collections.abc import Callable
from enum import StrEnum

from proxy.model.upstream import Ejection, Health


class State(StrEnum):
    """How an endpoint stands."""

    GOOD = "good"
    EJECTED = "ejected"
    HALF_OPEN = "half-open"
    UNHEALTHY = "unhealthy"


class Standing:
    """
    The standing of one endpoint; all times are monotonic seconds.

    `may_eject` is asked before an ejection, `on_change` is called after every change of `state`.
    """

    __slots__ = (
        "_any_probe_at",
        "_ejected_until",
        "_ejection",
        "_ejections_in_a_row",
        "_health",
        "_is_healthy",
        "_probe_until",
        "_streak",
        "checks_failed",
        "checks_passed",
        "ejections",
        "failures_in_a_row",
        "may_eject",
        "on_change",
        "state",
    )

    def __init__(
        self,
        ejection: Ejection,
        health: Health | None,
        may_eject: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        self._ejection = ejection
        self._health = health
        self.may_eject = may_eject
        self.on_change = on_change
        self.state = State.GOOD
        self.failures_in_a_row = 0
        self.ejections = 0
        self.checks_passed = 0
        self.checks_failed = 0
        self._ejections_in_a_row = 0
        self._ejected_until = 0.0
        self._probe_until = 0.0
        self._any_probe_at = 0.0
        self._is_healthy = True
        self._streak = 0

    def answered(self, status: int, now: float) -> None:
        """Take note of a whole response."""
        if status >= 500 and self._ejection.server_errors:
            self.failed(now)
            return
        self.failures_in_a_row = 0
        if self.state is State.HALF_OPEN:
            self._ejections_in_a_row = 0
            self._become(State.GOOD if self._is_healthy else State.UNHEALTHY)

    def failed(self, now: float) -> None:
        """Take note of a request that got no whole response."""
        self.failures_in_a_row += 1
        if self.state is State.HALF_OPEN or (
            self.state is State.GOOD and self.failures_in_a_row >= self._ejection.after and self.may_eject()
        ):
            self._eject(now)

    def checked(self, *, is_well: bool) -> None:
        """Take note of one health check; so many of a kind in a row change the state."""
        assert self._health is not None
        if is_well:
            self.checks_passed += 1
        else:
            self.checks_failed += 1
        self._streak = self._streak + 1 if is_well != self._is_healthy else 0
        needed = self._health.healthy_after if is_well else self._health.unhealthy_after
        if self._streak < needed:
            return
        self._streak = 0
        self._is_healthy = is_well
        if is_well:
            self._ejections_in_a_row = 0
        if self.state in (State.GOOD, State.UNHEALTHY):
            self._become(State.GOOD if is_well else State.UNHEALTHY)

    def sweep(self, now: float) -> None:
        """Let an ejection end."""
        if self.state is State.EJECTED and now >= self._ejected_until:
            self._probe_until = 0.0
            self._any_probe_at = now + self._ejection.time_s
            self._become(State.HALF_OPEN if self._is_healthy else State.UNHEALTHY)

    def take_probe(self, now: float, *, is_replayable: bool) -> bool:
        """
        Whether a request may try a half-open endpoint now; the next one may only after its end.

        At first only one that nobody misses if it fails; where no such request comes, any.
        """
        if now < self._probe_until or not (is_replayable or now >= self._any_probe_at):
            return False
        # A probe whose client leaves tells nothing; after this time another one is sent.
        self._probe_until = now + self._ejection.time_s
        return True

    def _eject(self, now: float) -> None:
        self.ejections += 1
        wait_s = min(
            self._ejection.time_s * 2.0 ** min(self._ejections_in_a_row, 30), self._ejection.max_time_s
        )
        self._ejections_in_a_row += 1
        self.failures_in_a_row = 0
        self._ejected_until = now + wait_s
        self._become(State.EJECTED)

    def _become(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self.on_change()

    def __repr__(self) -> str:
        return f"<Standing {self.state} [{self.failures_in_a_row} failures in a row]>"
