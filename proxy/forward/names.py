"""
The addresses of one host name, looked up again and again.

Law: one lookup at a time, each with a deadline. An answer is used until a newer one comes: a name
server that is away does not take away the upstream.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

from proxy.tasks import TaskOwner

log = logging.getLogger("rolegate.forward")

# A name with more addresses than this is served by those that come first.
MAX_ADDRESSES = 16

# After a lookup that failed, the next one does not wait for the whole interval.
RETRY_S = 1.0


class Name:
    """
    One host name and what it resolves to, in the order in which it is to be tried.

    `on_change` is called when an address has gone. `lookups` and `failures` count.
    """

    __slots__ = (
        "_lookup",
        "_refresh_s",
        "_start",
        "_tasks",
        "_timeout_s",
        "_turn",
        "addresses",
        "failures",
        "host",
        "lookups",
        "on_change",
        "refresh_at",
    )

    def __init__(self, host: str, refresh_s: float, timeout_s: float, tasks: TaskOwner) -> None:
        self.host = host
        self._refresh_s = refresh_s
        self._timeout_s = timeout_s
        self._tasks = tasks
        self._lookup: asyncio.Task[None] | None = None
        self._turn = 0
        self.addresses: tuple[str, ...] = ()
        self.on_change: Callable[[], None] = _ignore
        self.refresh_at = 0.0
        self.lookups = 0
        self.failures = 0

    async def find(self, now: float) -> tuple[str, ...]:
        """Return the addresses, each time beginning with another one; empty if there are none."""
        if not self.addresses:
            await asyncio.shield(self._looked_up(now))
        elif now >= self.refresh_at:
            self._looked_up(now)
        if not self.addresses:
            return ()
        self._turn = (self._turn + 1) % len(self.addresses)
        return self.addresses[self._turn :] + self.addresses[: self._turn]

    def sweep(self, now: float) -> None:
        """Look again if the answer is old; a name that nobody has asked for yet waits until somebody does."""
        if self.addresses and now >= self.refresh_at:
            self._looked_up(now)

    def _looked_up(self, now: float) -> asyncio.Task[None]:
        if self._lookup is None or self._lookup.done():
            self._lookup = self._tasks.spawn(self._look_up(now), name=f"resolve {self.host}")
        return self._lookup

    async def _look_up(self, now: float) -> None:
        self.refresh_at = now + min(RETRY_S, self._refresh_s)
        self.lookups += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await resolve(self.host)
        except OSError as error:  # TimeoutError is one
            self.failures += 1
            log.warning("`%s` cannot be resolved: %s", self.host, str(error) or "no answer in time")
            return
        self.refresh_at = now + self._refresh_s
        gone = set(self.addresses) - set(found)
        self.addresses = found
        if gone:
            self.on_change()

    def __repr__(self) -> str:
        return f"<Name {self.host} {list(self.addresses)}>"


async def resolve(host: str) -> tuple[str, ...]:
    """Return the addresses of `host` as the system resolves it; raise OSError if it cannot."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(answer[4][0]) for answer in found))[:MAX_ADDRESSES]


def _ignore() -> None:
    """Nobody wants to know."""
