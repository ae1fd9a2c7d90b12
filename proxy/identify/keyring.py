"""The keys of all issuers, by alias: what verifying asks and what readiness and metrics read."""

import asyncio
import time
from collections.abc import Iterable

from proxy.identify.interfaces import Fetch
from proxy.identify.issuers import Issuer
from proxy.identify.keys import Clock, IssuerKeys, KeyStatus, OnChange
from proxy.identify.signature import PublicKey
from proxy.tasks import TaskOwner


class KeyRing:
    """
    The keys of every configured issuer, by alias.

    Fetches run as tasks of `owner`. `start` needs a running event loop, and so does `find`,
    which may start a refresh. Keys of two issuers never meet: nothing is shared but the fetching.
    """

    __slots__ = ("_keeping", "_listeners", "_owner", "by_alias")

    def __init__(
        self, issuers: Iterable[Issuer], fetch: Fetch, owner: TaskOwner, clock: Clock = time.monotonic
    ) -> None:
        self._owner = owner
        self._listeners: list[OnChange] = []
        self._keeping: list[asyncio.Task[object]] = []
        self.by_alias = {
            issuer.alias: IssuerKeys(issuer, fetch, owner, clock, self._changed) for issuer in issuers
        }

    def on_change(self, listener: OnChange) -> None:
        """Call `listener` with the alias whenever the keys of an issuer are other ones than before."""
        self._listeners.append(listener)

    def inherit(self, previous: "KeyRing") -> None:
        """Take over what an earlier configuration has fetched, where the issuer is the same."""
        for alias, keys in self.by_alias.items():
            if alias in previous.by_alias:
                keys.inherit(previous.by_alias[alias])

    def start(self) -> None:
        """Fetch all keys now, and keep them fresh until `stop`, or until the owner of the tasks closes."""
        self._keeping = [
            self._owner.spawn(keys.keep_fresh(), name=f"keep keys of {alias} fresh")
            for alias, keys in self.by_alias.items()
        ]

    def stop(self) -> None:
        """Keep nothing fresh any more. What is being fetched still comes: requests may wait for it."""
        for task in self._keeping:
            task.cancel()
        self._keeping.clear()

    async def prefetch(self) -> None:
        """Wait until every issuer was asked once; who could not answer shows in `status`."""
        await asyncio.gather(*(keys.refresh() for keys in self.by_alias.values()))

    def find(self, alias: str, kid: str | None, algorithm: str) -> PublicKey | None:
        """Return the key of that issuer, or None."""
        return self.by_alias[alias].find(kid, algorithm)

    def has_set(self, alias: str) -> bool:
        """Whether there is a set of that issuer that can still be believed, even an empty one."""
        return self.by_alias[alias].current() is not None

    def may_fetch(self, alias: str) -> bool:
        """Whether waiting for a fetch could help now."""
        return self.by_alias[alias].may_fetch()

    async def refresh(self, alias: str) -> None:
        """Wait for one fetch of that issuer's keys."""
        await self.by_alias[alias].refresh()

    def status(self) -> list[KeyStatus]:
        """Return how the keys of each issuer are."""
        return [keys.status() for keys in self.by_alias.values()]

    def is_ready(self) -> bool:
        """Whether every required issuer has keys."""
        return all(status.has_keys for status in self.status() if status.required)

    def _changed(self, alias: str) -> None:
        for listener in self._listeners:
            listener(alias)
