"""
Health and metrics on the admin port.

`/livez` answers as long as the event loop turns; `/readyz` answers 200 once every required issuer has
keys and the audit sink takes records, and says what is missing otherwise; `/metrics` is for Prometheus.
A worker has the same on a UNIX socket, where it gives its metrics away as values too: `/families`.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from proxy.control.families import encode

Missing = Callable[[], list[str]]
Look = Callable[[], Awaitable[None]]

# A scrape that is under way may finish; nothing here is worth a longer wait.
SHUTDOWN_TIMEOUT_S = 1.0


class Admin:
    """
    The admin port's server; `missing` lists what keeps the proxy from being ready.

    `look` is awaited before either is asked, for what has to be gathered first.
    """

    __slots__ = ("_look", "_missing", "_registry", "_runner")

    def __init__(self, registry: CollectorRegistry, missing: Missing, look: Look | None = None) -> None:
        self._registry = registry
        self._missing = missing
        self._look = look
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port."""
        runner = await self._setup(web.Application())
        await web.TCPSite(runner, host, port).start()
        return int(runner.addresses[0][1])

    async def start_on_socket(self, path: Path) -> None:
        """Listen on a UNIX socket instead."""
        application = web.Application()
        application.router.add_get("/families", self._families)
        runner = await self._setup(application)
        await web.UnixSite(runner, str(path)).start()

    async def _setup(self, application: web.Application) -> web.AppRunner:
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_TIMEOUT_S
        )
        await self._runner.setup()
        return self._runner

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        if self._look is not None:
            await self._look()
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encoder(self._registry), headers={"Content-Type": content_type})

    async def _families(self, _: web.Request) -> web.Response:
        return web.Response(body=encode(self._registry.collect(), self._missing()))

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._look is not None:
            await self._look()
        missing = self._missing()
        if missing:
            return web.Response(status=503, text="".join(f"not ready: {what}\n" for what in missing))
        return web.Response(text="ok\n")
