"""What the kernel knows of clients of whom nothing is read."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from proxy.accept.leaving import departed
from tests.kit.local_proxy import until
from tests.kit.ports import LOOPBACK

ON_BOTH_LOOPS = True

LINGER_NOT = struct.pack("ii", 1, 0)


class Silent(asyncio.Protocol):
    """A connection that can be told to pause."""

    transport: asyncio.Transport | None = None

    def pause(self) -> None:
        assert self.transport is not None
        self.transport.pause_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    sock.close()


Pair = tuple[Silent, socket.socket]


@pytest.fixture(params=["tcp", "unix"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    loop = asyncio.get_running_loop()
    if request.param == "unix":
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server((LOOPBACK, 0)) as listening:
            theirs = socket.create_connection(listening.getsockname())
            ours, _ = listening.accept()
    ours.setblocking(False)
    _, protocol = await loop.connect_accepted_socket(Silent, ours)
    protocol.pause()
    yield protocol, theirs
    theirs.close()
    if protocol.transport is not None:
        protocol.transport.abort()
    await asyncio.sleep(0)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n"])
@pytest.mark.parametrize("end", [socket.socket.close, lambda it: it.shutdown(socket.SHUT_WR), reset])
async def test_an_end_is_known_whatever_is_unread_before_it(
    pair: Pair, end: Callable[[socket.socket], None], said: bytes
) -> None:
    protocol, client = pair
    client.sendall(said)
    assert departed([protocol]) == []
    end(client)
    await until(lambda: departed([protocol]) == [protocol], what="the news")


async def test_who_stays_has_not_left(pair: Pair) -> None:
    protocol, client = pair
    client.sendall(bytes(10_000))
    client.shutdown(socket.SHUT_RD)  # reads nothing more, and may still be sending
    await asyncio.sleep(0.05)
    assert departed([protocol]) == []


async def test_each_is_told_from_the_others(pair: Pair) -> None:
    protocol, _ = pair
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    _, other = await asyncio.get_running_loop().connect_accepted_socket(Silent, ours)
    other.pause()
    theirs.close()
    try:
        await until(lambda: departed([protocol, other]) == [other], what="the news")
    finally:
        assert other.transport is not None
        other.transport.abort()
        await asyncio.sleep(0)


async def test_of_one_that_is_closing_nothing_is_asked(pair: Pair) -> None:
    """Its number may be that of another file by now."""
    protocol, client = pair
    client.close()
    assert protocol.transport is not None
    protocol.transport.abort()
    assert departed([protocol]) == []
    protocol.transport = None
    assert departed([protocol]) == []


def test_nobody_is_asked_of_nobody() -> None:
    assert departed([]) == []
