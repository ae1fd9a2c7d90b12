"""
A response that only the end of its connection ends: no part of it looks whole, and the whole comes.

TLS says itself where it ends. Its clients are asyncio's here, which take any end for one but not a reset.
"""

import asyncio
import signal
import socket
import ssl
from pathlib import Path
from typing import Self

import pytest

from proxy.accept.patience import LINGER_S
from tests.journeys.trail import configuration
from tests.kit.certificates import Authority
from tests.kit.local_proxy import LocalProxy, get, until
from tests.kit.ports import LOOPBACK
from tests.kit.recorder import RecordedConnection, RecordingUpstream, Script
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True

OLD = get().replace(b"HTTP/1.1", b"HTTP/1.0", 1)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OPEN_END = b"HTTP/1.1 200 OK\r\n\r\n"

# More than all the kernel's buffers on the way take, so that the last of it waits with us.
LARGE = b"".join(b"%07d\n" % number for number in range(3 * 1024 * 1024))
# What they take.
MEDIUM = LARGE[: 1024 * 1024]
SMALL = LARGE[: 32 * 1024]

DOORS = pytest.mark.parametrize("door", ["plain", "tls"])


class Doorway:
    """A listening side, plain or with TLS, and what a client needs for it."""

    def __init__(self, door: str, folder: Path) -> None:
        self.listen: dict[str, object] = {}
        self.tls: ssl.SSLContext | None = None
        if door == "tls":
            authority = Authority(folder)
            self.listen = {"tls": {"certificates": [authority.server("api.example.com").files]}}
            self.tls = ssl.create_default_context(cafile=authority.ca_file)


@DOORS
async def test_a_process_that_is_killed_leaves_no_part_that_looks_whole(door: str, tmp_path: Path) -> None:
    async def begin(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(CHUNKED + b"5\r\nfirst\r\n")
        while await connection.read():
            pass

    doorway = Doorway(door, tmp_path)
    async with RecordingUpstream(begin) as upstream:
        settings = configuration(upstream.url, tmp_path, listen=doorway.listen)
        async with RunningProxy(settings) as proxy, ScriptedClient(proxy.port, tls=doorway.tls) as client:
            await client.send(OLD)
            await client.reader.readuntil(b"first")
            assert await asyncio.to_thread(proxy.kill) == -signal.SIGKILL
            with pytest.raises(ConnectionResetError):
                await client.reader.read(-1)


class Slow(ScriptedClient):
    """Takes little ahead of whoever reads."""

    async def connect(self) -> Self:
        """Open the connection, with small buffers."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (LOOPBACK, self.port))
        name = None if self.tls is None else self.server_name
        self._streams = await asyncio.open_connection(
            sock=sock, limit=16384, ssl=self.tls, server_hostname=name
        )
        return self

    def pause(self) -> None:
        """Take nothing more."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is one for both directions

    def go_on(self) -> None:
        """Take what comes."""
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]


def answer(head: bytes, body: bytes) -> Script:
    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(head + body)

    return script


@DOORS
async def test_a_kill_behind_the_last_byte_leaves_no_part_that_looks_whole(door: str, tmp_path: Path) -> None:
    """It is written, and on record as completed, and some of it may wait with us still."""
    doorway = Doorway(door, tmp_path)
    async with RecordingUpstream(answer(OPEN_END, LARGE)) as upstream:
        settings = configuration(upstream.url, tmp_path, listen=doorway.listen)
        async with RunningProxy(settings) as proxy, Slow(proxy.port, tls=doorway.tls) as client:
            await client.send(OLD)
            received = bytearray()
            while not any(record["kind"] == "outcome" for record in proxy.audit_records()):
                received += await client.reader.read(65536)
            client.pause()
            assert await asyncio.to_thread(proxy.kill) == -signal.SIGKILL
            client.go_on()
            try:
                received += await client.reader.read(-1)
            except ConnectionResetError:
                return  # it waited with us; else it was with the kernel already
            assert received.partition(b"\r\n\r\n")[2] == LARGE


LATE = {
    "while some waits with us": (OPEN_END, LARGE),
    "when the kernel has all of it": (OPEN_END, MEDIUM),
    "with a length": (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE), LARGE),
}


@DOORS
@pytest.mark.parametrize(("head", "body"), LATE.values(), ids=LATE.keys())
async def test_who_takes_nothing_for_a_while_still_gets_all_of_it(
    door: str, head: bytes, body: bytes, tmp_path: Path
) -> None:
    """For longer than an ended connection is kept for nothing, and not so long as a client may."""
    doorway = Doorway(door, tmp_path)
    listen, tls = doorway.listen, doorway.tls
    async with (
        RecordingUpstream(answer(head, body)) as upstream,
        LocalProxy(upstream.url, listen=listen) as proxy,
        Slow(proxy.port, tls=tls) as client,
    ):
        await client.send(OLD)
        received = bytearray()
        while not proxy.records("outcome"):
            received += await client.reader.read(65536 if body is LARGE else 1)
        client.pause()
        await asyncio.sleep(LINGER_S + 1)
        client.go_on()
        received += await client.reader.read(-1)
        assert received.partition(b"\r\n\r\n")[2] == body
        await proxy.until_quiet()
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "completed")]


async def test_who_has_it_all_and_does_not_take_leave_is_not_kept(tmp_path: Path) -> None:
    doorway = Doorway("tls", tmp_path)
    assert doorway.tls is not None
    async with (
        RecordingUpstream(answer(OPEN_END, SMALL)) as upstream,
        LocalProxy(upstream.url, listen=doorway.listen) as proxy,
    ):
        # Python's own sockets do not answer the farewell of TLS unless asked to.
        tcp, tls = await asyncio.to_thread(take_all, proxy.port, doorway.tls)
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the end of the connection")
        assert proxy.proxy.listener.slow_readers == 0
        with tcp, tls:
            assert tcp.recv(1) == b""  # no reset: some systems drop what is unread then


def take_all(port: int, context: ssl.SSLContext) -> tuple[socket.socket, ssl.SSLSocket]:
    """Ask, read to the end, and return the bare connection and the one with TLS."""
    plain = socket.create_connection((LOOPBACK, port), timeout=10)
    tcp = plain.dup()
    tcp.settimeout(10)
    tls = context.wrap_socket(plain, server_hostname="api.example.com", suppress_ragged_eofs=False)
    tls.sendall(OLD)
    received = b"".join(iter(lambda: tls.recv(65536), b""))
    assert received.endswith(b"\r\n\r\n" + SMALL)
    return tcp, tls


@DOORS
@pytest.mark.parametrize("is_open_ended", [False, True])
async def test_a_stop_takes_nothing_from_who_has_yet_to_read_it(
    *, door: str, is_open_ended: bool, tmp_path: Path
) -> None:
    """Too late for a farewell: the kernel has all of it, and goes on without us. Or it may be a part."""
    doorway = Doorway(door, tmp_path)
    listen, tls = {**doorway.listen, "timeouts": {"shutdown": "1s"}}, doorway.tls
    head = OPEN_END if is_open_ended else b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(MEDIUM)
    async with (
        RecordingUpstream(answer(head, MEDIUM)) as upstream,
        LocalProxy(upstream.url, listen=listen) as proxy,
        Slow(proxy.port, tls=tls) as client,
    ):
        client.pause()
        await client.send(OLD)
        await until(lambda: bool(proxy.records("outcome")), what="the outcome")
        resets = await proxy.stop()
        client.go_on()
        is_cut = is_open_ended and door == "tls"
        assert resets == is_cut
        if is_cut:
            with pytest.raises(ConnectionResetError):
                await client.reader.read(-1)
        else:
            assert (await client.reader.read(-1)).endswith(b"\r\n\r\n" + MEDIUM)
