"""
The HTTP client towards identity providers, loaded when there is one to ask.

It takes eleven megabytes, which a proxy whose keys are all pinned has no use for.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.identify.fetch import HttpFetch


class LoadedFetch:
    """Fetches documents as `HttpFetch` does; `load` it where there is time, or the first fetch does."""

    __slots__ = ("_fetch",)

    def __init__(self) -> None:
        self._fetch: HttpFetch | None = None

    def load(self) -> "HttpFetch":
        """Return the client, loaded."""
        if self._fetch is None:
            from proxy.identify.fetch import HttpFetch

            self._fetch = HttpFetch()
        return self._fetch

    async def __call__(self, url: str, *, timeout_s: float, max_bytes: int, ca_file: Path | None) -> bytes:
        """Return the body of a 200 answer. Raises IssuerError for everything else."""
        return await self.load()(url, timeout_s=timeout_s, max_bytes=max_bytes, ca_file=ca_file)

    async def close(self) -> None:
        """End connections, if there are any."""
        if self._fetch is not None:
            await self._fetch.close()
