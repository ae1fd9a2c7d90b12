"""A small HTTP server on a loopback port that the system chooses."""

from aiohttp import web

LOOPBACK = "127.0.0.1"

# Nobody waits for the demonstration to end.
_SHUTDOWN_S = 0.5


class Server:
    """Serves one application; `port` is known once it has started."""

    def __init__(self, application: web.Application) -> None:
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_S
        )
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Listen."""
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"
