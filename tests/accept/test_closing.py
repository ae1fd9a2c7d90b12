"""A reset is told from an end by whoever reads."""

import asyncio

import pytest

from proxy.accept.closing import reset
from tests.kit.ports import LOOPBACK


async def test_a_reset_is_no_end() -> None:
    accepted: asyncio.Queue[asyncio.Transport] = asyncio.Queue()

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
            accepted.put_nowait(transport)  # type: ignore[arg-type]  # uvloop's own class

    server = await asyncio.get_running_loop().create_server(Server, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    transport = await accepted.get()
    transport.write(b"part of")
    reset(transport)
    with pytest.raises(ConnectionResetError):
        while await reader.read(100):
            pass
    reset(transport)  # once more does nothing
    writer.close()
    server.close()


async def test_a_local_socket_is_closed_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "s"
    ended = asyncio.Event()

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            reset(transport)  # type: ignore[arg-type]  # a stream transport

        def connection_lost(self, error: Exception | None) -> None:
            ended.set()

    server = await asyncio.get_running_loop().create_unix_server(Server, str(path))
    _, writer = await asyncio.open_unix_connection(str(path))
    async with asyncio.timeout(5):
        await ended.wait()
    writer.close()
    server.close()
