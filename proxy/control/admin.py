"""
Health and metrics on the admin port.

`/livez` answers as long as the event loop turns; `/readyz` answers 200 once every required issuer has
keys and the audit sink takes records, and says what is missing otherwise; `/metrics` is for Prometheus.
"""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Missing = Callable[[], list[str]]

# A scrape that is under way may finish; nothing here is worth a longer wait.
SHUTDOWN_TIMEOUT_S = 1.0


class Admin:
    """The admin port's server; `missing` lists what keeps the proxy from being ready."""

    __slots__ = ("_missing", "_registry", "_runner")

    def __init__(self, registry: CollectorRegistry, missing: Missing) -> None:
        self._registry = registry
        self._missing = missing
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port."""
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT_S
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = self._missing()
        if missing:
            return web.Response(status=503, text="".join(f"not ready: {what}\n" for what in missing))
        return web.Response(text="ok\n")
