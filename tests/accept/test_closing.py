"""The end of a connection where both directions can be closed apart, and where they cannot."""

import asyncio

from proxy.accept.closing import close_in_one, end_sending
from tests.kit.ports import LOOPBACK


async def test_one_direction_is_closed_where_that_can_be_done() -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, LOOPBACK, 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert not close_in_one(None)
    assert not close_in_one(writer.transport)
    assert end_sending(writer.transport)
    assert not writer.transport.is_closing()
    writer.transport.abort()
    server.close()
