"""The end of a connection where both directions can be closed apart, and where they cannot."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from proxy.accept.closing import OpenEnd, close_in_one, end_sending
from tests.kit.ports import LOOPBACK

ON_BOTH_LOOPS = True


async def test_one_direction_is_closed_where_that_can_be_done() -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, LOOPBACK, 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert not close_in_one(None)
    assert not close_in_one(writer.transport)
    assert end_sending(writer.transport)
    assert not writer.transport.is_closing()
    writer.transport.abort()
    server.close()


@asynccontextmanager
async def connected() -> AsyncGenerator[tuple[asyncio.Transport, asyncio.StreamReader]]:
    """Yield our transport, and the reader of the client at its other end."""
    accepted: asyncio.Queue[asyncio.Transport] = asyncio.Queue()

    class Ours(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.put_nowait(transport)  # type: ignore[arg-type]  # it is one, but uvloop's does not say so

    server = await asyncio.get_running_loop().create_server(Ours, LOOPBACK, 0)
    async with asyncio.timeout(5), server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield await accepted.get(), reader
        writer.close()


def is_reset_on_close(ours: asyncio.Transport) -> bool:
    linger = ours.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
    return struct.unpack("ii", linger) == (1, 0)


async def test_what_is_closed_before_it_is_finished_is_reset() -> None:
    async with connected() as (ours, reader):
        end = OpenEnd(ours)
        ours.write(b"a part")
        end.close()
        ours.close()
        with pytest.raises(ConnectionResetError):
            await reader.read(-1)


async def test_a_connection_that_is_closed_already_has_no_other_end() -> None:
    end = OpenEnd(asyncio.BaseTransport())  # it knows no socket, as one with TLS that has ended
    end.finish()
    end.close()


async def test_what_is_finished_ends_in_order_once_nothing_waits() -> None:
    async with connected() as (ours, reader):
        end = OpenEnd(ours)
        ours.write(b"the whole")
        end.finish()
        assert is_reset_on_close(ours)  # by a kill, with some of it still ours
        end.close()
        assert not is_reset_on_close(ours)
        ours.close()
        assert await reader.read(-1) == b"the whole"
