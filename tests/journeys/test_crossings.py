"""Where parts meet that were each tested alone: streams, endpoints, limits, TLS and what a reload leaves."""

import asyncio
import os
import socket
import ssl
from pathlib import Path

from tests.journeys.test_endpoints import several
from tests.journeys.test_upgrade import ANSWER, HANDSHAKE, ROUTE
from tests.kit.certificates import Authority
from tests.kit.local_proxy import HOST, LocalProxy, until
from tests.kit.recorder import RecordedConnection, RecordingUpstream
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True


async def switching(connection: RecordedConnection) -> None:
    await connection.request()
    await connection.write(ANSWER)
    while await connection.read():
        pass


async def test_an_endpoint_that_only_ever_switches_comes_back_from_its_ejection() -> None:
    is_well = asyncio.Event()

    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        if not is_well.is_set():
            connection.reset()
            return
        await connection.write(ANSWER)
        while await connection.read():
            pass

    async with RecordingUpstream(switching) as steady, RecordingUpstream(script) as shaky:
        settings = several(steady.url, shaky.url, ejection={"after": 1, "time": "50ms"})
        async with LocalProxy("", upstream=settings, route=ROUTE) as proxy:
            standing = proxy.proxy.pools["api"].pools[1].standing
            assert standing is not None
            while standing.ejections == 0:
                async with ScriptedClient(proxy.port) as client:
                    assert (await client.request(HANDSHAKE)).status == 101
            is_well.set()
            await until(lambda: standing.state == "half-open", what="the end of the ejection")
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(HANDSHAKE)).status == 101
                assert len(shaky.connections) == 2
                assert standing.state == "good"


async def test_a_tls_client_that_leaves_a_stream_without_a_farewell_is_gone(tmp_path: Path) -> None:
    """What it sent last need not be all, and the record blames nobody else."""
    authority = Authority(tmp_path)
    listen = {"tls": {"certificates": [authority.server(HOST).files]}}
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    ends: list[bytes | None] = []

    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(ANSWER)
        try:
            while await connection.read():
                pass
            ends.append(b"")
        except ConnectionResetError:
            ends.append(None)

    async with (
        RecordingUpstream(script) as upstream,
        LocalProxy(upstream.url, route=ROUTE, listen=listen) as proxy,
        ScriptedClient(proxy.port, tls=context) as client,
    ):
        assert (await client.request(HANDSHAKE)).status == 101
        with socket.socket(fileno=os.dup(client.writer.get_extra_info("socket").fileno())) as beneath:
            beneath.shutdown(socket.SHUT_WR)
        await until(lambda: len(proxy.records("outcome")) == 1, what="the outcome")
        await until(lambda: bool(ends), what="the end at the upstream")
        assert ends == [None]
        assert proxy.reasons[-1] == ("outcome", "client-gone")
