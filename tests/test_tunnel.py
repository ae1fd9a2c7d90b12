"""Two connections as one, on real sockets: ends, breaks, back-pressure, and what is left."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxy.model.decision import Reason
from proxy.tunnel import LINGER_S, Side, Tunnel
from tests.kit.local_proxy import until
from tests.kit.ports import LOOPBACK, reset

ON_BOTH_LOOPS = True

IDLE_S = 10.0
BLOCK = bytes(range(256)) * 256


class Waiting(asyncio.Protocol):
    """Gives its transport away before anything is read."""

    def __init__(self, made: asyncio.Queue[asyncio.Transport]) -> None:
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "pause_reading")  # uvloop's is no subclass of asyncio's
        transport.pause_reading()
        self._made.put_nowait(cast("asyncio.Transport", transport))


@dataclass
class Peer:
    """The other end of a side, and the transport that the side has."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    transport: asyncio.Transport
    lost: list[Exception | None] = field(default_factory=list)

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readexactly(size)

    async def read_to_end(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.read()

    def give_to(self, side: Side, ahead: bytes = b"", *, is_blocked: bool = False) -> None:
        self.transport.pause_reading()  # as a connection does that hands itself over
        side.take(self.transport, ahead, is_blocked=is_blocked, on_lost=self.lost.append)


@asynccontextmanager
async def a_peer(tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None) -> AsyncGenerator[Peer]:
    made: asyncio.Queue[asyncio.Transport] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Waiting(made), LOOPBACK, 0, ssl=tls[0] if tls else None)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection(
        LOOPBACK, port, ssl=tls[1] if tls else None, server_hostname="localhost" if tls else None
    )
    peer = Peer(reader, writer, await made.get())
    try:
        yield peer
    finally:
        peer.transport.abort()
        writer.transport.abort()
        server.close()
        await asyncio.sleep(0)


@dataclass
class Ends:
    """A tunnel with both peers, and the reasons for which it ended."""

    tunnel: Tunnel
    client: Peer
    upstream: Peer
    reasons: list[Reason]

    async def until_over(self) -> None:
        await until(lambda: self.tunnel.is_over, what="the end of both connections")
        assert (len(self.client.lost), len(self.upstream.lost)) == (1, 1)


@asynccontextmanager
async def a_tunnel(tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None) -> AsyncGenerator[Ends]:
    async with a_peer(tls) as client, a_peer() as upstream:
        reasons: list[Reason] = []
        tunnel = Tunnel(reasons.append, IDLE_S, 0.0)
        client.give_to(tunnel.client, b"ahead up ")
        upstream.give_to(tunnel.upstream, b"ahead down ")
        tunnel.open()
        assert await upstream.read(9) == b"ahead up "
        assert await client.read(11) == b"ahead down "
        yield Ends(tunnel, client, upstream, reasons)


async def test_bytes_pass_both_ways_and_are_counted() -> None:
    async with a_tunnel() as ends:
        ends.client.writer.write(BLOCK)
        ends.upstream.writer.write(BLOCK * 2)
        assert await ends.upstream.read(len(BLOCK)) == BLOCK
        assert await ends.client.read(len(BLOCK) * 2) == BLOCK * 2
        assert (ends.tunnel.client.received, ends.tunnel.upstream.received) == (
            len(BLOCK) + 9,
            2 * len(BLOCK) + 11,
        )
        assert repr(ends.tunnel) == "<Tunnel 65545 bytes up, 131083 bytes down>"
        assert ends.reasons == []


@pytest.mark.parametrize("first", ["client", "upstream"])
async def test_an_end_is_passed_on_while_the_other_direction_goes_on(first: str) -> None:
    async with a_tunnel() as ends:
        one, other = (ends.client, ends.upstream) if first == "client" else (ends.upstream, ends.client)
        one.writer.write(BLOCK)
        one.writer.write_eof()
        assert await other.read_to_end() == BLOCK
        other.writer.write(b"late")
        assert await one.read(4) == b"late"
        assert ends.reasons == []
        other.writer.write(b"last")
        other.writer.write_eof()
        assert await one.read_to_end() == b"last"
        await ends.until_over()
        assert ends.reasons == [Reason.COMPLETED]


@pytest.mark.parametrize(
    ("first", "reason"), [("client", Reason.CLIENT_GONE), ("upstream", Reason.UPSTREAM_RESET)]
)
@pytest.mark.parametrize("half_closed", [False, True])
async def test_a_break_is_passed_on_as_a_break(first: str, reason: Reason, half_closed: bool) -> None:
    async with a_tunnel() as ends:
        one, other = (ends.client, ends.upstream) if first == "client" else (ends.upstream, ends.client)
        if half_closed:
            other.writer.write_eof()
            assert await one.read_to_end() == b""
        reset(one.writer)
        with pytest.raises(ConnectionResetError):
            await other.read_to_end()
        await ends.until_over()
        assert ends.reasons == [reason]


async def test_a_side_that_takes_nothing_holds_the_other_back_and_loses_nothing() -> None:
    async with a_tunnel() as ends:
        ends.client.reader._limit = 1024  # type: ignore[attr-defined]  # a reader that reads little ahead
        sent = 0
        ends.upstream.writer.transport.set_write_buffer_limits(0)
        try:
            while sent < 2**30:
                ends.upstream.writer.write(BLOCK)
                sent += len(BLOCK)
                async with asyncio.timeout(1):
                    await ends.upstream.writer.drain()
        except TimeoutError:
            pass
        assert sent < 64 * 2**20, "nothing held it back"
        assert ends.tunnel.client.waiting_bytes < 2**20
        # The other direction is not held back.
        ends.client.writer.write(b"still")
        assert await ends.upstream.read(5) == b"still"
        assert await ends.client.read(sent) == BLOCK * (sent // len(BLOCK))


async def test_a_side_that_was_blocked_already_is_waited_for() -> None:
    async with a_peer() as client, a_peer() as upstream:
        reasons: list[Reason] = []
        tunnel = Tunnel(reasons.append, IDLE_S, 0.0)
        client.give_to(tunnel.client, is_blocked=True)
        upstream.give_to(tunnel.upstream)
        tunnel.open()
        assert not upstream.transport.is_reading()
        assert client.transport.is_reading()
        tunnel.client.resume_writing()
        assert upstream.transport.is_reading()
        tunnel.cut(Reason.CLIENT_GONE)


async def test_what_stands_still_for_too_long_is_closed() -> None:
    async with a_tunnel() as ends:
        ends.tunnel.sweep(1.0)  # the bytes that came ahead were a move
        ends.tunnel.sweep(IDLE_S + 0.9)
        assert ends.reasons == []
        ends.client.writer.write(b"a")
        assert await ends.upstream.read(1) == b"a"
        ends.tunnel.sweep(IDLE_S + 1.0)
        ends.tunnel.sweep(2 * IDLE_S + 0.9)
        assert ends.reasons == []
        ends.tunnel.sweep(2 * IDLE_S + 1.0)
        assert ends.reasons == [Reason.STREAM_IDLE]
        assert await ends.client.read_to_end() == b""
        assert await ends.upstream.read_to_end() == b""
        await ends.until_over()


async def test_who_takes_nothing_of_what_is_left_is_reset_in_the_end() -> None:
    async with a_tunnel() as ends:
        transport = ends.client.writer.transport
        assert hasattr(transport, "pause_reading")
        transport.pause_reading()
        ends.upstream.writer.write(BLOCK * 512)
        await until(lambda: ends.tunnel.client.waiting_bytes > 0, what="a client that takes no more")
        ends.tunnel.close(Reason.TOKEN_EXPIRED, 100.0)
        assert ends.reasons == [Reason.TOKEN_EXPIRED]
        ends.tunnel.sweep(100.0 + LINGER_S - 0.1)
        await asyncio.sleep(0)
        assert not ends.tunnel.is_over
        ends.tunnel.sweep(100.0 + LINGER_S)
        await ends.until_over()
        assert ends.reasons == [Reason.TOKEN_EXPIRED]
        transport.resume_reading()  # type: ignore[attr-defined]  # as `pause_reading` above
        with pytest.raises(ConnectionResetError):
            await ends.client.read_to_end()


@pytest.mark.parametrize("side", ["client", "upstream"])
async def test_a_connection_that_its_owner_ends_takes_the_other_with_it(side: str) -> None:
    async with a_tunnel() as ends:
        (ends.client if side == "client" else ends.upstream).transport.abort()
        await ends.until_over()
        assert ends.reasons == [Reason.SHUTTING_DOWN]


async def test_a_connection_that_is_closing_when_it_is_taken_ends_the_other() -> None:
    async with a_peer() as client, a_peer() as upstream:
        reasons: list[Reason] = []
        tunnel = Tunnel(reasons.append, IDLE_S, 0.0)
        client.transport.close()
        client.give_to(tunnel.client)
        upstream.give_to(tunnel.upstream, b"too late")
        tunnel.open()
        assert await upstream.read_to_end() == b""
        await until(lambda: tunnel.is_over, what="the end of both connections")
        assert reasons == [Reason.COMPLETED]


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "both.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))


async def test_the_end_of_a_plain_side_closes_a_tls_side(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """Half of a TLS connection cannot be closed."""
    async with a_tunnel(tls) as ends:
        ends.upstream.writer.write(BLOCK)
        ends.upstream.writer.write_eof()
        assert await ends.client.read_to_end() == BLOCK
        await ends.until_over()
        assert ends.reasons == [Reason.COMPLETED]


async def test_the_end_of_a_tls_side_ends_a_plain_side(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with a_tunnel(tls) as ends:
        ends.client.writer.write(BLOCK)
        ends.client.writer.close()
        assert await ends.upstream.read_to_end() == BLOCK
        await ends.until_over()
        assert ends.reasons == [Reason.COMPLETED]


@asynccontextmanager
async def a_half_secure_tunnel(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], whose: str
) -> AsyncGenerator[tuple[Ends, Peer, Peer]]:
    """Yield a tunnel of which one side speaks TLS, with the peer of that side and the other."""
    secure = whose == "client"
    async with a_peer(tls if secure else None) as client, a_peer(None if secure else tls) as upstream:
        reasons: list[Reason] = []
        tunnel = Tunnel(reasons.append, IDLE_S, 0.0)
        client.give_to(tunnel.client)
        upstream.give_to(tunnel.upstream)
        tunnel.open()
        yield Ends(tunnel, client, upstream, reasons), *((client, upstream) if secure else (upstream, client))


@pytest.mark.parametrize("whose", ["client", "upstream"])
async def test_a_tls_side_that_is_cut_without_a_farewell_is_no_end(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], whose: str
) -> None:
    """Anybody in between can end a connection; only the peer can say within TLS that this is all."""
    async with a_half_secure_tunnel(tls, whose) as (ends, cut, other):
        tunnel, reasons = ends.tunnel, ends.reasons
        cut.writer.write(BLOCK)
        assert await other.read(len(BLOCK)) == BLOCK
        with socket.socket(fileno=os.dup(cut.writer.get_extra_info("socket").fileno())) as beneath:
            beneath.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            await other.read_to_end()
        await until(lambda: tunnel.is_over, what="the end of both connections")
        # uvloop tells the one who owns the connection no more than that it is lost.
        assert len(reasons) == 1
        assert reasons[0] is not Reason.COMPLETED


@pytest.mark.parametrize("expires", [False, True])
@pytest.mark.parametrize("whose", ["client", "upstream"])
async def test_a_farewell_of_tls_is_not_waited_for_as_long_as_a_stream_may_be_idle(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], whose: str, *, expires: bool
) -> None:
    async with a_half_secure_tunnel(tls, whose) as (ends, silent, other):
        tunnel, reasons = ends.tunnel, ends.reasons
        silent.writer.transport.pause_reading()  # type: ignore[attr-defined]  # so it does not hear ours
        other.writer.write(b"the last")
        other.writer.write_eof()
        await until(silent.transport.is_closing, what="our farewell")
        tunnel.sweep(1.0)
        if expires:
            tunnel.close(Reason.TOKEN_EXPIRED, 1.0)  # meanwhile, so that it is closed twice
        tunnel.sweep(2.0)
        tunnel.sweep(1.0 + LINGER_S - 0.1)
        await asyncio.sleep(0)
        assert not tunnel.is_over
        tunnel.sweep(1.0 + LINGER_S)
        await until(lambda: tunnel.is_over, what="the end of both connections")
        assert reasons == [Reason.TOKEN_EXPIRED if expires else Reason.COMPLETED]
