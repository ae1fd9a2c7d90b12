"""A reset is told from an end by whoever reads."""

import asyncio
import socket
from pathlib import Path

import pytest

from proxy.resetting import end_on_close, reset, reset_on_close
from tests.kit.ports import LOOPBACK

ON_BOTH_LOOPS = True


def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer.transport)
    reset(writer.transport)  # once more does nothing


async def test_a_reset_is_no_end() -> None:
    async with asyncio.timeout(5), await asyncio.start_server(resetting, LOOPBACK, 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()


async def test_a_reset_that_was_announced_can_be_taken_back() -> None:
    def ending(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        reset_on_close(sock)
        writer.write(b"all")
        end_on_close(sock)
        writer.close()

    async with asyncio.timeout(5), await asyncio.start_server(ending, LOOPBACK, 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read(-1) == b"all"
        writer.close()


async def test_a_local_socket_is_closed_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    async with asyncio.timeout(5), await asyncio.start_unix_server(resetting, path):
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read(1) == b""
        writer.close()


def test_what_is_closed_or_local_is_left_as_it_is() -> None:
    one, other = socket.socketpair()
    reset_on_close(one)
    assert one.send(b"a") == 1
    one.close()
    reset_on_close(one)
    end_on_close(one)
    other.close()
