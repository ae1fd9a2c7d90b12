"""
The key set of one issuer: fetched ahead of need, kept fresh, believed for a limited time.

Law, so that neither an attacker nor an outage decides what we do:
- One fetch at a time; whoever needs it waits for the same one.
- A token with an unknown key starts a fetch only if the last one began `cooldown_s` ago or more.
- Keys older than `fresh_for_s` are used while they are fetched anew; older than `stale_for_s`
  they are not used at all, and what was verified with them is forgotten.
- A failed fetch and a set of unusable keys change nothing. `{"keys": []}` is an answer: revoked all.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proxy.errors import ConfigurationError, IssuerError
from proxy.identify.discovery import fetch_key_set
from proxy.identify.interfaces import Fetch
from proxy.identify.issuers import Issuer
from proxy.identify.keyset import KeySet, read_key_set
from proxy.identify.signature import PublicKey
from proxy.tasks import TaskOwner

log = logging.getLogger("rolegate.identify.keys")

Clock = Callable[[], float]
OnChange = Callable[[str], None]

# Without any keys nobody gets in, so a failed first fetch is repeated sooner than the cooldown says.
FIRST_RETRY_S = 1.0

# However the times are set, refreshing does not spin.
SHORTEST_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStatus:
    """
    How one issuer's keys are, for readiness and metrics.

    `age_s` is the time since the last good fetch, None before the first and for pinned keys.
    """

    alias: str
    required: bool
    has_keys: bool
    keys: int
    age_s: float | None
    fetches_succeeded: int
    fetches_failed: int
    last_error: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A set of keys and when it was fetched, on the clock of whoever fetched it."""

    key_set: KeySet
    at: float


class IssuerKeys:
    """
    The keys of one issuer. `clock` counts seconds and never goes back.

    `last` is the last good set, whether or not it can still be believed; ask `current` for that.
    """

    __slots__ = (
        "_clock",
        "_failures_in_a_row",
        "_fetch",
        "_flight",
        "_last_error",
        "_next_fetch_at",
        "_on_change",
        "_owner",
        "_refresh_at",
        "fetches_failed",
        "fetches_succeeded",
        "issuer",
        "last",
    )

    def __init__(
        self, issuer: Issuer, fetch: Fetch, owner: TaskOwner, clock: Clock, on_change: OnChange
    ) -> None:
        self.issuer = issuer
        self.last: Fetched | None = None
        self.fetches_succeeded = 0
        self.fetches_failed = 0
        self._fetch = fetch
        self._owner = owner
        self._clock = clock
        self._on_change = on_change
        self._next_fetch_at = self._refresh_at = clock()
        self._flight: asyncio.Task[None] | None = None
        self._failures_in_a_row = 0
        self._last_error = ""
        if issuer.jwks_file is not None:
            self.last = Fetched(read_pinned(issuer, issuer.jwks_file), clock())
            self._report_dropped((), self.last.key_set.dropped)

    @property
    def is_pinned(self) -> bool:
        """Whether the keys come from a file, which is read once."""
        return self.issuer.jwks_file is not None

    def current(self) -> KeySet | None:
        """Return the set that can be believed now, or None; forgets one that is past the hard limit."""
        if self.last is None:
            return None
        age_s = self._clock() - self.last.at
        if age_s < self.issuer.keys.stale_for_s or self.is_pinned:
            return self.last.key_set
        cause = self._last_error or "none"
        alias = self.issuer.alias
        log.error("keys of issuer `%s` are not believed any more after %.0f s: %s", alias, age_s, cause)
        self.last = None
        self._on_change(alias)
        return None

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """Return a key; starts a refresh in the background if the set has grown old."""
        key_set = self.current()
        if key_set is None:
            return None
        if self._is_old() and self._may_start():
            self._start()
        return key_set.find(kid, algorithm)

    def may_fetch(self) -> bool:
        """Whether waiting for a fetch could help now: one is under way, or one may start."""
        return self._is_in_flight() or self._may_start()

    async def refresh(self) -> None:
        """Wait for a fetch, the one under way or a new one. Its failure is recorded, not raised."""
        if self.is_pinned:
            return
        flight = self._flight
        if flight is None or flight.done():
            flight = self._start()
        # wait() neither cancels the fetch when one of its waiters is cancelled, nor raises its error.
        await asyncio.wait([flight])

    async def keep_fresh(self) -> None:
        """Fetch at once unless the keys are fresh, and then again and again; runs until cancelled."""
        while not self.is_pinned:
            if self._clock() >= self._refresh_at:
                await self.refresh()
            self.current()
            await asyncio.sleep(max(SHORTEST_PAUSE_S, self._wake_at() - self._clock()))

    def inherit(self, previous: "IssuerKeys") -> None:
        """Take over the keys of an earlier configuration of the same issuer, which shares the clock."""
        self.fetches_succeeded, self.fetches_failed = previous.fetches_succeeded, previous.fetches_failed
        if previous.last is None or self.is_pinned or source_of(self.issuer) != source_of(previous.issuer):
            return
        self.last = previous.last
        self._refresh_at = self.last.at + self.issuer.keys.fresh_for_s

    def status(self) -> KeyStatus:
        """Return how things stand."""
        key_set = self.current()
        return KeyStatus(
            alias=self.issuer.alias,
            required=self.issuer.required,
            has_keys=key_set is not None and len(key_set) > 0,
            keys=0 if key_set is None else len(key_set),
            age_s=None if self.last is None or self.is_pinned else self._clock() - self.last.at,
            fetches_succeeded=self.fetches_succeeded,
            fetches_failed=self.fetches_failed,
            last_error=self._last_error,
        )

    def _is_old(self) -> bool:
        return self.last is not None and self._clock() - self.last.at >= self.issuer.keys.fresh_for_s

    def _wake_at(self) -> float:
        # The hard limit too: what was verified with dead keys is forgotten at that moment.
        if self.last is None:
            return self._refresh_at
        return min(self._refresh_at, self.last.at + self.issuer.keys.stale_for_s)

    def _is_in_flight(self) -> bool:
        return self._flight is not None and not self._flight.done()

    def _may_start(self) -> bool:
        return not self.is_pinned and not self._is_in_flight() and self._clock() >= self._next_fetch_at

    def _start(self) -> asyncio.Task[None]:
        # Before the task runs: whoever asks next must find the cooldown already begun.
        self._next_fetch_at = self._clock() + self.issuer.keys.cooldown_s
        self._flight = self._owner.spawn(self._load(), name=f"fetch keys of {self.issuer.alias}")
        return self._flight

    async def _load(self) -> None:
        started_at = self._clock()
        timeout_s = self.issuer.keys.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                key_set = await fetch_key_set(self.issuer, self._fetch)
        except TimeoutError:
            self._fail(f"no keys within {timeout_s:g} s", started_at)
        except IssuerError as error:
            self._fail(str(error), started_at)
        except Exception:  # a boundary: whatever a foreign document triggers must not end the refreshing
            log.exception("fetching the keys of issuer `%s` failed unexpectedly", self.issuer.alias)
            self._fail("unexpected failure, see the log", started_at)
        else:
            self._accept(key_set)

    def _accept(self, key_set: KeySet) -> None:
        previous, self.last = self.last, Fetched(key_set, self._clock())
        # Spread, so that many nodes that started together do not ask together for ever.
        spread = random.uniform(0.8, 1.0)  # noqa: S311 - spreads load, hides nothing
        self._refresh_at = self.last.at + self.issuer.keys.fresh_for_s * spread
        self._failures_in_a_row = 0
        self._last_error = ""
        self.fetches_succeeded += 1
        self._report_dropped(() if previous is None else previous.key_set.dropped, key_set.dropped)
        if previous is not None and previous.key_set.identity == key_set.identity:
            return
        log.info("issuer `%s` has %d usable keys", self.issuer.alias, len(key_set))
        self._on_change(self.issuer.alias)

    def _fail(self, cause: str, started_at: float) -> None:
        self.fetches_failed += 1
        self._last_error = cause
        if self.last is None:
            backoff_s = FIRST_RETRY_S * 2.0 ** min(self._failures_in_a_row, 30)
            self._next_fetch_at = started_at + min(self.issuer.keys.cooldown_s, backoff_s)
        self._failures_in_a_row += 1
        self._refresh_at = self._next_fetch_at
        log.warning("keys of issuer `%s` cannot be refreshed: %s", self.issuer.alias, cause)

    def _report_dropped(self, known: tuple[str, ...], dropped: tuple[str, ...]) -> None:
        for cause in dropped:
            if cause not in known:
                log.warning("issuer `%s`: not used: %s", self.issuer.alias, cause)

    def __repr__(self) -> str:
        return f"<IssuerKeys {self.issuer.alias} {self.last!r}>"


def source_of(issuer: Issuer) -> tuple[object, ...]:
    """Return what decides which keys an issuer has."""
    return (issuer.url, issuer.jwks_url, issuer.jwks_file, issuer.ca_file, issuer.algorithms)


def read_pinned(issuer: Issuer, file: Path) -> KeySet:
    """Return the keys of the issuer's file. Raises ConfigurationError."""
    try:
        key_set = read_key_set(file.read_bytes(), issuer.algorithms)
    except OSError as error:
        raise ConfigurationError(
            f"`jwks_file` of issuer `{issuer.alias}`: cannot read `{file}`: {error.strerror}"
        ) from error
    except IssuerError as error:
        raise ConfigurationError(f"`jwks_file` of issuer `{issuer.alias}`: {error}") from error
    if len(key_set) == 0:
        raise ConfigurationError(f"`jwks_file` of issuer `{issuer.alias}` has no keys")
    return key_set
