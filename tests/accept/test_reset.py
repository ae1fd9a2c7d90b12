"""An end that no reader can take for the end of a message."""

import asyncio
import socket

import pytest

from proxy.accept.reset import reset, reset_on_close
from tests.kit.ports import LOOPBACK

ON_BOTH_LOOPS = True


class Held(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "abort")
        reset(transport)  # type: ignore[arg-type]  # a stream transport


async def test_the_other_side_sees_a_reset() -> None:
    server = await asyncio.get_running_loop().create_server(Held, LOOPBACK, 0)
    reader, writer = await asyncio.open_connection(LOOPBACK, server.sockets[0].getsockname()[1])
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(5):
            await reader.read()
    writer.close()
    server.close()


def test_what_is_closed_or_local_is_left_as_it_is() -> None:
    one, other = socket.socketpair()
    reset_on_close(one)
    one.close()
    other.close()
    gone = socket.socket()
    gone.close()
    reset_on_close(gone)
