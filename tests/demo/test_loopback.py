import asyncio

from aiohttp import web

from proxy.demo.loopback import LOOPBACK, Server
from tests.kit.ports import answers


async def test_server_listens_on_loopback_between_start_and_stop() -> None:
    server = Server(web.Application())
    await server.start()
    assert server.url == f"http://{LOOPBACK}:{server.port}"
    assert await asyncio.to_thread(answers, server.port)
    await server.stop()
    assert not await asyncio.to_thread(answers, server.port)


async def test_server_that_never_started_can_stop() -> None:
    await Server(web.Application()).stop()
