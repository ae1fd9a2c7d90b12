"""PROXY headers from peers that have to send them, and from nobody else."""

import asyncio
import ssl
from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.haproxy import Haproxy
from tests.kit.local_proxy import HOST, LocalProxy, get, until
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient
from tests.wire.test_proxy_protocol import BAD, GOOD

FROM_US: dict[str, object] = {"proxy_protocol": {"peers": ["127.0.0.0/8"]}}


@pytest.mark.parametrize(("header", "address"), GOOD.values(), ids=GOOD.keys())
async def test_the_client_is_whom_the_header_names(header: bytes, address: str | None) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=FROM_US) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        client_address = address or "127.0.0.1"
        assert (await client.request(header + get("/a"))).status == 200
        assert (await client.request(get("/b"))).status == 200
        assert [record["client"] for record in proxy.records("decision")] == [client_address] * 2
        shown = "unknown" if address == "unix" else client_address
        assert upstream.received.count(f"X-Forwarded-For: {shown}\r\n".encode()) == 2
        assert proxy.proxy.listener.accepted == 1


@pytest.mark.parametrize("size", [1, 7])
async def test_a_header_may_come_in_pieces(size: int) -> None:
    data = GOOD["v2 with TLVs"][0] + get("/a")
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=FROM_US) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        for start in range(0, 60, size):
            await client.send(data[start : start + size])
            await asyncio.sleep(0)
        await client.send(data[60 - 60 % size + (size if 60 % size else 0) :])
        assert (await client.read_response()).status == 200
        assert proxy.records("decision")[0]["client"] == "192.0.2.1"


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
async def test_a_peer_that_has_to_send_a_header_is_reset_without_one(data: bytes) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=FROM_US) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(data + b"x" * 5000)
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(5):
                await client.reader.read()
        assert proxy.proxy.listener.headers_failed == 1
        assert proxy.proxy.listener.connection_count == 0
        assert proxy.records() == []
        assert upstream.byte_count == 0


@pytest.mark.parametrize("data", [b"", b"PROXY TCP4 ", GOOD["v2 TCP4"][0][:-1]])
async def test_a_header_that_does_not_come_in_time_ends_the_connection(data: bytes) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={**FROM_US, "handshake_timeout": "300ms"}) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(data)
        assert await client.is_closed()
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the end")
        assert proxy.proxy.listener.handshakes_expired == 1


async def test_a_header_from_anybody_else_is_not_honoured() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"proxy_protocol": {"peers": ["192.0.2.0/24"]}}) as proxy,
    ):
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get("/a"))).status == 200
        async with ScriptedClient(proxy.port) as client:
            await client.send(GOOD["v1 TCP4"][0] + get("/a"))
            assert (await client.read_response()).status == 400
        assert [record["client"] for record in proxy.records("decision")] == ["127.0.0.1"] * 2
        assert len(upstream.requests) == 1


async def test_the_address_of_the_header_has_to_be_trusted_itself() -> None:
    """What is behind a proxy that forwards bytes can write any X-Forwarded-For."""
    listen = {**FROM_US, "trusted_proxies": ["127.0.0.1", "192.0.2.1"]}
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, listen=listen) as proxy:
        for header in (GOOD["v1 TCP6"][0], GOOD["v1 TCP4"][0], GOOD["v2 LOCAL"][0]):
            async with ScriptedClient(proxy.port) as client:
                lines = (b"X-Forwarded-For: 203.0.113.9", b"X-Forwarded-Proto: https")
                await client.request(header + get("/a", *lines))
        clients = [record["client"] for record in proxy.records("decision")]
        assert clients == ["2001:db8::1", "203.0.113.9", "203.0.113.9"]
        protos = [b"X-Forwarded-Proto: https\r\n" in request for request in upstream.requests]
        assert protos == [False, True, True]


async def test_connections_without_a_header_count(tmp_path: Path) -> None:
    listen = {**FROM_US, "max_connections": 2}
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=listen) as proxy,
        ScriptedClient(proxy.port) as first,
        ScriptedClient(proxy.port),
    ):
        await until(lambda: proxy.proxy.listener.connection_count == 2, what="the connections")
        try:
            async with ScriptedClient(proxy.port) as third:
                assert await third.is_closed()
        except ConnectionResetError:
            pass  # it was quicker than our own connect
        assert proxy.proxy.listener.refused == 1
        assert (await first.request(GOOD["v1 TCP4"][0] + get("/a"))).status == 200
        assert proxy.proxy.listener.accepted == 2


async def test_a_stop_does_not_wait_for_headers() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=FROM_US) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await until(lambda: proxy.proxy.listener.connection_count == 1, what="the connection")
        async with asyncio.timeout(5):
            assert await proxy.stop() == 0
        assert await client.is_closed()


def secured(folder: Path) -> tuple[dict[str, object], ssl.SSLContext]:
    authority = Authority(folder)
    listen = {**FROM_US, "tls": {"certificates": [authority.server(HOST).files]}}
    return listen, ssl.create_default_context(cafile=str(authority.ca_file))


@pytest.mark.component("haproxy")
@pytest.mark.parametrize(
    "send", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"]
)
@pytest.mark.parametrize("with_tls", [False, True])
async def test_behind_haproxy(tmp_path: Path, send: str, with_tls: bool) -> None:
    listen, context = secured(tmp_path) if with_tls else (FROM_US, None)
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=listen) as proxy,
        Haproxy(f"127.0.0.1:{proxy.port}", send) as haproxy,
        ScriptedClient(haproxy.port, tls=context) as client,
    ):
        for _ in range(2):
            assert (await client.request(get("/a"))).status == 200
        assert b"X-Forwarded-For: 127.0.0.1\r\n" in upstream.requests[0]
        scheme = b"https" if with_tls else b"http"
        assert b"X-Forwarded-Proto: %b\r\n" % scheme in upstream.requests[0]
        assert proxy.proxy.listener.headers_failed == 0


@pytest.mark.component("haproxy")
async def test_health_checks_of_haproxy_are_no_failures() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=FROM_US) as proxy,
        Haproxy(f"127.0.0.1:{proxy.port}", "send-proxy-v2 check-send-proxy check inter 100ms"),
    ):
        await until(lambda: proxy.proxy.listener.accepted >= 3, what="the checks")
        assert proxy.proxy.listener.handshakes_failed == 0


async def test_a_header_precedes_the_handshake(tmp_path: Path) -> None:
    listen, context = secured(tmp_path)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=HOST)
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=listen) as proxy,
        ScriptedClient(proxy.port) as raw,
    ):
        header = GOOD["v2 TCP6"][0]
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                # Header and first message in one packet: what is behind the header is TLS's.
                await raw.send(header + outgoing.read())
                header = b""
                incoming.write(await raw.reader.read(65536))
        session.write(get("/a"))
        await raw.send(outgoing.read())
        await until(lambda: len(upstream.requests) == 1, what="the request")
        assert b"X-Forwarded-For: 2001:db8::1\r\n" in upstream.received
        assert b'for="[2001:db8::1]"' in upstream.received
        assert b"proto=https" in upstream.received
