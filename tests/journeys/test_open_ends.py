"""A response that only the end of its connection ends: no part of it looks whole, and the whole comes."""

import asyncio
import signal
import ssl
from pathlib import Path

import pytest

from proxy.accept.client import ClientConnection
from tests.journeys.trail import configuration
from tests.kit.certificates import Authority
from tests.kit.local_proxy import LocalProxy, get, until
from tests.kit.recorder import RecordedConnection, RecordingUpstream, Script
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True

OLD = get().replace(b"HTTP/1.1", b"HTTP/1.0", 1)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

# More than all the kernel's buffers on the way take, so that the last of it waits with us.
LARGE = b"".join(b"%07d\n" % number for number in range(3 * 1024 * 1024))
# What they do take.
SMALL = LARGE[: 1024 * 1024]

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


def answer(body: bytes) -> Script:
    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\n\r\n" + body)

    return script


@DOORS
@pytest.mark.parametrize(("body", "moment"), [(LARGE, "waits"), (SMALL, "closed")], ids=["waits", "closed"])
async def test_who_reads_late_gets_all_of_it_and_an_end(
    door: str, body: bytes, moment: str, tmp_path: Path
) -> None:
    """While we wait for it to take what fits nowhere else, or when the kernel has all and we are gone."""
    doorway = Doorway(door, tmp_path)
    listen, tls = doorway.listen, doorway.tls
    async with RecordingUpstream(answer(body)) as upstream, LocalProxy(upstream.url, listen=listen) as proxy:
        async with ScriptedClient(proxy.port, tls=tls) as client:
            await client.send(OLD)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is one for both directions
            await until(lambda: MOMENTS[moment](proxy), what=f"the moment: {moment}")
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            received = await client.reader.read(-1)
        assert received.partition(b"\r\n\r\n")[2] == body
        await proxy.until_quiet()
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "completed")]


def is_waiting(proxy: LocalProxy) -> bool:
    held = proxy.proxy.listener._held()
    return any(one.is_blocked for one in held if isinstance(one, ClientConnection))


def is_closed(proxy: LocalProxy) -> bool:
    return bool(proxy.reasons) and proxy.proxy.listener.connection_count == 0


MOMENTS = {"waits": is_waiting, "closed": is_closed}
