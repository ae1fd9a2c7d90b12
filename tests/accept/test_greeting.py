"""What comes before the first request, on both loops."""

import asyncio
import os
import resource
import socket
import ssl
from ipaddress import ip_network
from pathlib import Path

import pytest

from proxy.accept.certificates import CertificateFiles
from proxy.accept.doors import Door
from proxy.accept.greeting import Greeting
from proxy.accept.sockets import TcpPlace
from proxy.accept.tls import Tls, TlsRules
from proxy.wire.forwarded import Network
from tests.accept.exchanges import listening
from tests.kit.certificates import Authority
from tests.kit.local_proxy import until
from tests.kit.ports import LOOPBACK
from tests.kit.scripted import ScriptedClient

ON_BOTH_LOOPS = True

GET = b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n"
HEADER = b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n"
HOST = "a.example.com"


FROM_LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"),)


def door(tls: Tls | None = None, *, has_header: bool = True) -> Door:
    return Door(
        place=TcpPlace(LOOPBACK, 0),
        tls=tls,
        proxies=FROM_LOOPBACK if has_header else (),
        handshake_timeout_s=5,
    )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def tls_of(authority: Authority) -> Tls:
    issued = authority.server(HOST)
    return Tls(TlsRules(certificates=(CertificateFiles(issued.certificate_file, issued.key_file),)))


def client_context(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.ca_file))


@pytest.mark.parametrize("at", [0, 1, 8, 15, 16, len(HEADER) - 1, len(HEADER), len(HEADER) + 3])
async def test_requests_follow_a_header_wherever_it_is_split(at: int) -> None:
    async with listening(door=door()) as (listener, exchanges, port, _), ScriptedClient(port) as client:
        await client.send(HEADER + GET, split_at=at)
        assert (await client.read_response()).status == 200
        assert exchanges.peers[0].address == "192.0.2.1"
        assert (listener.accepted, listener.connection_count) == (1, 1)


async def test_requests_follow_a_handshake(authority: Authority) -> None:
    async with (
        listening(door=door(tls_of(authority), has_header=False)) as (listener, exchanges, port, _),
        ScriptedClient(port, tls=client_context(authority), server_name=HOST) as client,
    ):
        for _ in range(2):
            assert (await client.request(GET)).status == 200
        assert [peer.scheme for peer in exchanges.peers] == ["https"] * 2
        assert (listener.accepted, listener.connection_count, len(listener.tasks)) == (1, 1, 0)


@pytest.mark.parametrize("beyond_s", [0.0, 0.125], ids=["at", "above"])
@pytest.mark.parametrize("data", [b"", HEADER[:10], HEADER, HEADER + b"\x16\x03\x01"])
async def test_one_deadline_is_for_header_and_handshake(
    authority: Authority, data: bytes, beyond_s: float
) -> None:
    async with (
        listening(door=door(tls_of(authority))) as (listener, _, port, clock),
        ScriptedClient(port) as client,
    ):
        await client.send(data)
        await until(lambda: listener.connection_count == 1, what="the connection")
        clock.advance(4.875)
        listener.sweep(clock())
        assert listener.handshakes_expired == 0
        clock.advance(0.125 + beyond_s)
        listener.sweep(clock())
        assert await client.read_to_end() == b""
        await until(lambda: listener.connection_count == 0, what="the end")
        assert listener.handshakes_expired == 1


@pytest.mark.parametrize("data", [b"", HEADER[:10], HEADER, HEADER + b"\x16\x03\x01"])
async def test_a_client_that_leaves_leaves_nothing_behind(authority: Authority, data: bytes) -> None:
    async with listening(door=door(tls_of(authority))) as (listener, exchanges, port, _):
        for leave in (ScriptedClient.reset, ScriptedClient.end_sending):
            async with ScriptedClient(port) as client:
                await client.send(data)
                await until(lambda: listener.connection_count == 1, what="the connection")
                leave(client)
                await until(lambda: listener.connection_count == 0, what="the end")
        await until(lambda: len(listener.tasks) == 0, what="the end of the tasks")
        assert exchanges.all == []


async def test_a_stop_ends_what_has_not_begun(authority: Authority) -> None:
    async with (
        listening(door=door(tls_of(authority))) as (listener, _, port, _),
        ScriptedClient(port) as before,
        ScriptedClient(port) as within,
    ):
        await within.send(HEADER)
        await until(lambda: listener.connection_count == 2, what="the connections")
        await until(lambda: len(listener.tasks) == 1, what="the handshake")
        await listener.stop(0)
        assert (listener.connection_count, len(listener.tasks)) == (0, 0)
        assert await before.is_closed()
        assert await within.is_closed()


async def test_an_end_over_tls_is_taken_leave_of(authority: Authority) -> None:
    """`write_eof` does not exist there; the deadline closes, with the farewell of TLS."""
    async with (
        listening(door=door(tls_of(authority), has_header=False)) as (listener, _, port, clock),
        ScriptedClient(port, tls=client_context(authority), server_name=HOST) as client,
    ):
        await client.send(b"no HTTP\r\n\r\n")
        assert (await client.read_response()).status == 200
        await client.send(b"a" * 1000)
        await until(lambda: all(one._is_lingering for one in listener._connections), what="the wait")
        clock.advance(2.1)
        listener.sweep(clock())
        assert await client.reader.read() == b""
        await client.close()
        await until(lambda: listener.connection_count == 0, what="the end of the connection")


async def test_an_abort_over_tls_is_a_reset(authority: Authority) -> None:
    async with (
        listening(door=door(tls_of(authority), has_header=False)) as (listener, exchanges, port, _),
        ScriptedClient(port, tls=client_context(authority), server_name=HOST) as client,
    ):
        exchanges.answers = False
        await client.send(GET)
        await until(lambda: len(exchanges.all) == 1, what="the request")
        next(iter(listener._connections)).abort()
        with pytest.raises(ConnectionResetError):
            await client.reader.read()


async def test_the_peer_is_shown() -> None:
    async with listening(door=door()) as (listener, _, port, _), ScriptedClient(port):
        await until(lambda: listener.connection_count == 1, what="the connection")
        (greeting,) = listener._greetings
        assert isinstance(greeting, Greeting)
        assert repr(greeting) == "<Greeting 127.0.0.1>"


async def test_without_file_descriptors_connections_wait(caplog: pytest.LogCaptureFixture) -> None:
    loop, limits = asyncio.get_running_loop(), resource.getrlimit(resource.RLIMIT_NOFILE)
    async with listening(door=door()) as (listener, _, port, _):
        with socket.socket() as client:
            client.setblocking(False)
            os.close(lowest := os.dup(client.fileno()))
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
            try:
                await loop.sock_connect(client, (LOOPBACK, port))
                await until(lambda: "cannot accept connections" in caplog.text, what="the failure")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            assert listener.accepted == 0
            await until(lambda: listener.accepted == 1, what="the connection")
        # Once, and not in every turn of the loop.
        assert caplog.text.count("cannot accept connections") == 1
