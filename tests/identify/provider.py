"""An identity provider of a few lines on a loopback port, which does whatever a test wants."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.identify.tokens import Signer, as_json, jwks

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"


@dataclass
class Provider:
    """What it answers can be set at any time; `asked` counts what was asked of it, by path."""

    url: str = ""
    documents: dict[str, bytes] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    requests: list[web.BaseRequest] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    gate: asyncio.Event | None = None

    def publish(self, *signers: Signer) -> None:
        """Publish these keys."""
        self.documents[DISCOVERY] = as_json({"issuer": self.url, "jwks_uri": self.url + KEYS})
        self.documents[KEYS] = jwks(*(signer.jwk() for signer in signers))

    @property
    def fetches(self) -> int:
        """How often the keys were asked for."""
        return self.asked.get(KEYS, 0)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        self.asked[request.path] = self.asked.get(request.path, 0) + 1
        if self.gate is not None:
            await self.gate.wait()
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        body = self.documents.get(request.path)
        if body is None:
            return web.Response(status=404)
        return web.Response(status=self.status, body=body, headers=self.headers)


@asynccontextmanager
async def a_provider(*signers: Signer) -> AsyncIterator[Provider]:
    """Run a provider that publishes the keys of `signers`."""
    provider = Provider()
    runner = web.ServerRunner(web.Server(provider.answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        provider.url = f"http://127.0.0.1:{port}"
        provider.publish(*signers)
        yield provider
    finally:
        if provider.gate is not None:
            provider.gate.set()
        await runner.cleanup()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something holds that no event announces."""
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - the point is to look from outside
            await asyncio.sleep(0.005)
