"""A reset is one to the peer, whatever waits to be sent."""

import asyncio

import pytest

from proxy.resetting import reset
from tests.kit.ports import LOOPBACK


async def test_the_peer_is_told_of_a_break_and_not_of_an_end() -> None:
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda reader, writer: accepted.put(writer), LOOPBACK, 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    ours = await accepted.get()
    assert isinstance(ours.transport, asyncio.Transport)
    reset(ours.transport)
    reset(ours.transport)  # a second time does nothing
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(5):
            await reader.read()
    writer.close()
    ours.close()
    server.close()
