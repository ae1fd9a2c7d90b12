"""
What the admin port shows: health, readiness and metrics.

`/livez` answers as long as the event loop turns; `/readyz` answers 200 once every required issuer has
keys and the audit sink takes records, and says what is missing otherwise; `/metrics` is for Prometheus.
A worker has the same on a UNIX socket, where it gives its metrics away as values too: `/families`.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from proxy.control.families import encode

Missing = Callable[[], list[str]]
Look = Callable[[], Awaitable[None]]

PLAIN_TEXT = "text/plain; charset=utf-8"
METHODS = ("GET", "HEAD")


class Page(NamedTuple):
    """One answer: its status, its body, and what that is."""

    status: int
    body: bytes
    content_type: str = PLAIN_TEXT


NOT_FOUND = Page(404, b"not found; there are /livez, /readyz and /metrics\n")
METHOD_NOT_ALLOWED = Page(405, b"only GET and HEAD are answered here\n")


class Pages:
    """
    The pages of one process; `missing` lists what keeps it from being ready.

    `look` is awaited before metrics and readiness are told, for what has to be gathered first.
    `for_supervisor` adds `/families`.
    """

    __slots__ = ("_look", "_missing", "_pages", "_registry")

    def __init__(
        self,
        registry: CollectorRegistry,
        missing: Missing,
        look: Look | None = None,
        *,
        for_supervisor: bool = False,
    ) -> None:
        self._registry = registry
        self._missing = missing
        self._look = look
        self._pages: dict[bytes, Callable[[str], Awaitable[Page]]] = {
            b"/livez": self._livez,
            b"/readyz": self._readyz,
            b"/metrics": self._metrics,
        }
        if for_supervisor:
            self._pages[b"/families"] = self._families

    async def show(self, method: str, target: bytes, accept: str) -> Page:
        """Return the page that `target` names, as it came; `accept` is the value of the header."""
        page = self._pages.get(target.partition(b"?")[0])
        if page is None:
            return NOT_FOUND
        return await page(accept) if method in METHODS else METHOD_NOT_ALLOWED

    async def _livez(self, _accept: str) -> Page:
        return Page(200, b"ok\n")

    async def _readyz(self, _accept: str) -> Page:
        if self._look is not None:
            await self._look()
        missing = self._missing()
        if missing:
            return Page(503, "".join(f"not ready: {what}\n" for what in missing).encode())
        return Page(200, b"ok\n")

    async def _metrics(self, accept: str) -> Page:
        if self._look is not None:
            await self._look()
        encoder, content_type = choose_encoder(accept)
        return Page(200, encoder(self._registry), content_type)

    async def _families(self, _accept: str) -> Page:
        return Page(200, encode(self._registry.collect(), self._missing()), "application/json")
