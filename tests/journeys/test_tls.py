"""TLS on the data port: versions, certificates by name, files that change, ends that cannot be mistaken."""

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.local_proxy import LocalProxy, get, request, until
from tests.kit.programs import program
from tests.kit.recorder import RecordedConnection, RecordingUpstream
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import ScriptedClient

HOST = "api.example.com"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def tls(authority: Authority, *names: str, **more: object) -> dict[str, object]:
    """Return the section `tls` with a certificate for each of `names`."""
    certificates = [authority.server(name).files for name in names or (HOST,)]
    return {"certificates": certificates, **more}


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.ca_file))


async def test_a_request_over_tls_is_answered_and_told_upstream(authority: Authority) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"tls": tls(authority)}) as proxy,
        ScriptedClient(proxy.port, tls=trusting(authority)) as client,
    ):
        for _ in range(2):
            assert (await client.request(get("/a", b"X-Forwarded-Proto: http"))).status == 200
        assert upstream.requests[1].count(b"X-Forwarded-Proto: https\r\n") == 1
        assert b";proto=https\r\n" in upstream.requests[0]
        assert proxy.proxy.listener.accepted == 1
        assert proxy.proxy.listener.connection_count == 1
        assert proxy.records("decision")[0]["client"] == "127.0.0.1"
        assert "client_certificate" not in proxy.records("decision")[0]


async def test_a_request_in_one_flight_with_the_handshake_is_not_lost(authority: Authority) -> None:
    """The client of TLS 1.3 sends its request right behind its last handshake message."""
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"tls": tls(authority)}) as proxy,
    ):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = trusting(authority).wrap_bio(incoming, outgoing, server_hostname=HOST)
        async with ScriptedClient(proxy.port) as raw:
            while True:
                try:
                    session.do_handshake()
                except ssl.SSLWantReadError:
                    await raw.send(outgoing.read())
                    incoming.write(await raw.reader.read(65536))
                else:
                    break
            session.write(get("/a"))
            await raw.send(outgoing.read())
            answer = b""
            while not answer:
                incoming.write(await raw.reader.read(65536))
                try:
                    answer = session.read(65536)
                except ssl.SSLWantReadError:
                    continue
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_large_response_waits_for_a_client_that_does_not_read(authority: Authority) -> None:
    size = 64 * 1024 * 1024
    sent = 0

    async def script(connection: RecordedConnection) -> None:
        nonlocal sent
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        piece = b"a" * 65536
        while sent < size:
            await connection.write(piece)
            sent += len(piece)

    async with (
        RecordingUpstream(script) as upstream,
        LocalProxy(upstream.url, listen={"tls": tls(authority)}) as proxy,
        ScriptedClient(proxy.port, tls=trusting(authority)) as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads too
        await client.send(get("/"))
        await until(lambda: sent > 0, what="the response")
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < size // 2
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]  # the same
        response = await client.read_response()
        assert len(response.body) == size


async def test_a_large_request_waits_for_an_upstream_that_does_not_read(authority: Authority) -> None:
    go_on = asyncio.Event()

    async def script(connection: RecordedConnection) -> None:
        await go_on.wait()
        while len(connection.received) < size:
            await connection.read()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    size = 64 * 1024 * 1024
    async with (
        RecordingUpstream(script) as upstream,
        LocalProxy(upstream.url, listen={"tls": tls(authority)}) as proxy,
        ScriptedClient(proxy.port, tls=trusting(authority)) as client,
    ):
        client.writer.write(request("POST", "/", b"Content-Length: %d" % size))
        written = 0
        piece = b"a" * 65536
        try:
            while written < size:
                client.writer.write(piece)
                async with asyncio.timeout(1):
                    await client.writer.drain()
                written += len(piece)
        except TimeoutError:
            pass
        assert written < size // 2
        go_on.set()
        while written < size:
            client.writer.write(piece)
            await client.writer.drain()
            written += len(piece)
        assert (await client.read_response()).status == 200


async def test_a_broken_response_has_no_farewell(authority: Authority) -> None:
    """Without `close_notify` a client can tell that the response was cut (RFC 8446 section 6.1)."""

    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        await asyncio.sleep(0.05)

    async with (
        RecordingUpstream(script) as upstream,
        LocalProxy(upstream.url, listen={"tls": tls(authority)}) as proxy,
    ):
        received, has_farewell = await asyncio.to_thread(read_over_tls, proxy.port, authority, get("/"))
        assert received.endswith(b"abc")
        assert not has_farewell
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the end")


async def test_an_orderly_end_has_a_farewell(authority: Authority) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"tls": tls(authority)}) as proxy,
    ):
        received, has_farewell = await asyncio.to_thread(
            read_over_tls, proxy.port, authority, get("/", b"Connection: close")
        )
        assert received.startswith(b"HTTP/1.1 200 ")
        assert has_farewell


def read_over_tls(port: int, authority: Authority, data: bytes) -> tuple[bytes, bool]:
    """Return all that comes, and whether the connection ended with `close_notify`."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        # An end without farewell is an error here, not an end.
        trusting(authority).wrap_socket(plain, server_hostname=HOST, suppress_ragged_eofs=False) as secured,
    ):
        secured.sendall(data)
        received = b""
        try:
            while piece := secured.recv(65536):
                received += piece
        except (ssl.SSLEOFError, ConnectionResetError):
            return received, False
    return received, True


async def test_a_refusal_reaches_a_client_that_is_still_sending(authority: Authority) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"tls": tls(authority)}) as proxy,
        ScriptedClient(proxy.port, tls=trusting(authority)) as client,
    ):
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 1000)
        response = await client.read_response()
        assert response.status == 401
        for _ in range(5):
            await client.send(b"a" * 1000)
        assert await client.is_closed()
        assert upstream.byte_count == 0


@pytest.mark.component("openssl")
@pytest.mark.parametrize(
    ("arguments", "is_answered"),
    [
        (["-tls1_3"], True),
        (["-tls1_2"], True),
        (["-tls1_1"], False),
        (["-tls1_2", "-cipher", "AES128-SHA"], False),
        (["-tls1_2", "-cipher", "AES128-GCM-SHA256"], False),
    ],
)
async def test_only_good_versions_and_ciphers_are_spoken(
    authority: Authority, arguments: list[str], is_answered: bool
) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"tls": tls(authority)}) as proxy,
    ):
        output = await asyncio.to_thread(s_client, proxy.port, authority, arguments)
        assert ("Verify return code: 0 (ok)" in output and "Cipher is (NONE)" not in output) == is_answered, (
            output
        )
        if is_answered:
            assert "Compression: NONE" in output
            assert "Secure Renegotiation IS NOT supported" in output or "-tls1_2" in arguments
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the end")


def s_client(port: int, authority: Authority, arguments: list[str], data: bytes = b"") -> str:
    result = subprocess.run(
        [
            program("openssl"),
            "s_client",
            "-connect",
            f"127.0.0.1:{port}",
            "-servername",
            HOST,
            "-CAfile",
            str(authority.ca_file),
            *arguments,
        ],
        input=data,
        capture_output=True,
        timeout=20,
        check=False,
    )
    return (result.stdout + result.stderr).decode(errors="replace")


async def shown_certificate(port: int, authority: Authority, name: str | None) -> bytes:
    """Return the certificate that is shown to who asks for `name`."""
    context = trusting(authority)
    context.check_hostname = False
    async with ScriptedClient(port, tls=context, server_name=name or "") as client:
        der: bytes = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return der


async def test_each_name_gets_its_certificate(authority: Authority) -> None:
    first = authority.server("first.example.com")
    exact = authority.server("a.example.com", "b.example.com")
    anyone = authority.server("*.example.com")
    again = authority.server("a.example.com", file="again")
    certificates = [one.files for one in (first, exact, anyone, again)]
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"tls": {"certificates": certificates}}) as proxy,
    ):
        for name, issued in {
            "first.example.com": first,
            "a.example.com": exact,
            "B.EXAMPLE.com": exact,
            "c.example.com": anyone,
            "c.d.example.com": first,
            "example.com": first,
            "elsewhere.test": first,
            None: first,
        }.items():
            assert await shown_certificate(proxy.port, authority, name) == issued.der, name


async def test_the_name_of_the_handshake_opens_no_route_that_the_host_would_not(authority: Authority) -> None:
    """An attacker shakes hands for a name that anybody may use, and asks for another one."""
    match = {"hosts": ["private.example.com"], "paths": ["/**"]}
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(
            upstream.url,
            listen={"tls": tls(authority, "open.example.com", "private.example.com")},
            route={"match": match},
        ) as proxy,
        ScriptedClient(proxy.port, tls=trusting(authority), server_name="open.example.com") as client,
    ):
        for host, lines, status in [
            ("open.example.com", "", 401),  # a stranger does not learn that there is no route
            ("private.example.com", "", 401),
            ("private.example.com", "Host: open.example.com\r\n", 400),
        ]:
            response = await client.request(f"GET / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode())
            assert response.status == status
        assert upstream.byte_count == 0
        hosts = [record["host"] for record in proxy.records("decision")]
        assert hosts[:2] == ["open.example.com", "private.example.com"]


async def test_new_files_are_put_in_force_while_connections_go_on(authority: Authority) -> None:
    section = tls(authority)
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"tls": section}) as proxy,
        ScriptedClient(proxy.port, tls=trusting(authority)) as client,
    ):
        assert (await client.request(get("/a"))).status == 200
        renewed = authority.server(HOST, days=9)
        await until(lambda: proxy.proxy.listener.reloads == 1, what="the reload")
        assert await shown_certificate(proxy.port, authority, HOST) == renewed.der
        assert (await client.request(get("/b"))).status == 200
        (shown,) = proxy.proxy.listener.certificates()
        assert shown.ends_at == renewed.certificate.not_valid_after_utc.timestamp()


@pytest.mark.parametrize("fault", ["garbage", "other key", "gone"])
async def test_a_bad_new_file_keeps_the_old_certificate_in_force(
    authority: Authority, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    issued = authority.server(HOST)
    other = authority.server("other.example.com")
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"tls": {"certificates": [issued.files]}}) as proxy,
    ):
        listener = proxy.proxy.listener
        if fault == "garbage":
            issued.certificate_file.write_text("no certificate")
        elif fault == "other key":
            issued.key_file.write_bytes(other.key_file.read_bytes())
        else:
            issued.key_file.unlink()
        await until(lambda: listener.failed_reloads == 1, what="the attempt")
        assert await shown_certificate(proxy.port, authority, HOST) == issued.der
        assert "the old ones stay in force" in caplog.text
        assert str(issued.certificate_file if fault == "garbage" else issued.key_file) in caplog.text
        renewed = authority.server(HOST)
        await until(lambda: listener.reloads == 1, what="the reload")
        assert await shown_certificate(proxy.port, authority, HOST) == renewed.der


@pytest.mark.parametrize(
    "data",
    [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"],
)
async def test_a_handshake_that_does_not_come_in_time_ends_the_connection(
    authority: Authority, data: bytes
) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"tls": tls(authority), "handshake_timeout": "300ms"}) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await until(lambda: proxy.proxy.listener.connection_count == 1, what="the connection")
        await client.send(data)
        await client.read_to_end()
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the end")
        listener = proxy.proxy.listener
        assert listener.handshakes_expired + listener.handshakes_failed >= 1
        await until(lambda: len(listener.tasks) == 0, what="the end of the task")
        assert proxy.records() == []


async def test_handshakes_count_as_connections(authority: Authority) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"tls": tls(authority), "max_connections": 1}) as proxy,
        ScriptedClient(proxy.port),
    ):
        await until(lambda: proxy.proxy.listener.connection_count == 1, what="the connection")
        with pytest.raises(ConnectionError):
            async with ScriptedClient(proxy.port, tls=trusting(authority)):
                pass
        assert proxy.proxy.listener.refused == 1
        async with asyncio.timeout(5):
            assert await proxy.stop() == 0


@pytest.mark.component("openssl")
async def test_renegotiation_is_refused(authority: Authority) -> None:
    """It would cost us a handshake for a few bytes of the client's, again and again."""
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"tls": tls(authority)}) as proxy,
    ):
        output = await asyncio.to_thread(s_client, proxy.port, authority, ["-tls1_2"], b"R\n")
        assert "no renegotiation" in output, output


@pytest.mark.component("openssl")
async def test_the_oldest_version_is_configured(authority: Authority) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"tls": tls(authority, min_version="1.3")}) as proxy,
    ):
        for version, is_spoken in (("-tls1_2", False), ("-tls1_3", True)):
            output = await asyncio.to_thread(
                s_client, proxy.port, authority, [version, "-alpn", "h2,http/1.1"]
            )
            assert ("ALPN protocol: http/1.1" in output) == is_spoken


async def test_a_server_name_that_is_none_costs_a_handshake_and_no_line(authority: Authority) -> None:
    """Python cannot raise it and would print a traceback, as often as anybody likes."""
    pairs = [authority.server(name).files for name in ("a.example.com", "b.example.com")]
    session = trusting(authority).wrap_bio(
        ssl.MemoryBIO(), outgoing := ssl.MemoryBIO(), server_hostname="aaaa.example.com"
    )
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    hello = outgoing.read().replace(b"aaaa", b"\xff\xfe\xfd\xfc")
    async with RunningProxy({"listen": {"tls": {"certificates": pairs}}}) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(hello)
            await client.read_to_end()
        assert 'rolegate_client_handshakes_failed_total{cause="tls"} 1.0' in await asyncio.to_thread(
            proxy.metrics_text
        )
        assert "Unicode" not in proxy.log_text()
        assert "Traceback" not in proxy.log_text()
