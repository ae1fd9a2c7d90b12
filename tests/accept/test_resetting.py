import asyncio

import pytest

from proxy.accept.resetting import reset
from tests.kit.ports import LOOPBACK

ON_BOTH_LOOPS = True


async def test_the_other_side_sees_a_break_and_no_end() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half of it")
        await writer.drain()
        reset(writer.transport)  # type: ignore[arg-type]  # a stream's transport

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(100)
    writer.close()
    server.close()
    await server.wait_closed()
