import asyncio
import gzip
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from proxy.errors import IssuerError
from proxy.identify.fetch import HttpFetch, lookup_context
from tests.identify.provider import KEYS, Provider, a_provider
from tests.kit.certificates import Authority


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with a_provider() as provider:
        yield provider


@pytest.fixture
def fetch() -> HttpFetch:
    return HttpFetch()


async def get(fetch: HttpFetch, url: str, max_bytes: int = 100, timeout_s: float = 5.0) -> bytes:
    return await fetch(url, timeout_s=timeout_s, max_bytes=max_bytes, ca_file=None)


async def test_a_document_is_fetched_without_cookies_or_compression(
    provider: Provider, fetch: HttpFetch
) -> None:
    provider.documents["/d%2Fe"] = b""
    provider.documents["/d/e"] = b"body"
    provider.headers["Set-Cookie"] = "a=b; Path=/"
    assert await get(fetch, provider.url + "/d%2Fe?q=%41") == b"body"
    assert await get(fetch, provider.url + "/d/e") == b"body"
    first, second = provider.requests
    assert first.raw_path == "/d%2Fe?q=%41"
    assert second.headers["Accept-Encoding"] == "identity"
    assert "Cookie" not in second.headers
    assert "Authorization" not in second.headers


async def test_the_environment_names_no_proxy(
    provider: Provider, fetch: HttpFetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    provider.documents["/d"] = b"body"
    assert await get(fetch, provider.url + "/d") == b"body"


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308, 400, 404, 500, 503])
async def test_only_200_is_an_answer(provider: Provider, fetch: HttpFetch, status: int) -> None:
    provider.documents["/d"] = b"" if status == 204 else b"body"
    provider.status = status
    provider.headers["Location"] = provider.url + "/elsewhere"
    with pytest.raises(IssuerError, match=f"status {status}, expected 200"):
        await get(fetch, provider.url + "/d")
    assert provider.asked == {"/d": 1}


@pytest.mark.parametrize(("length", "is_read"), [(99, True), (100, True), (101, False), (5_000_000, False)])
async def test_a_body_is_read_up_to_its_limit(
    provider: Provider, fetch: HttpFetch, length: int, is_read: bool
) -> None:
    provider.documents["/d"] = b"x" * length
    if is_read:
        assert len(await get(fetch, provider.url + "/d")) == length
    else:
        with pytest.raises(IssuerError, match="more than 100 bytes"):
            await get(fetch, provider.url + "/d")


async def test_a_compressed_body_is_refused_unread(provider: Provider, fetch: HttpFetch) -> None:
    provider.documents["/d"] = gzip.compress(b"x" * 100_000)
    provider.headers["Content-Encoding"] = "gzip"
    with pytest.raises(IssuerError, match="compressed"):
        await get(fetch, provider.url + "/d", max_bytes=1_000_000)


async def test_a_slow_server_is_given_up(provider: Provider, fetch: HttpFetch) -> None:
    provider.documents["/d"] = b"body"
    provider.gate = asyncio.Event()
    started_at = time.monotonic()
    with pytest.raises(IssuerError, match=r"within 0\.1 s"):
        await get(fetch, provider.url + "/d", timeout_s=0.1)
    assert time.monotonic() - started_at < 2


async def test_nobody_at_the_address_is_an_issuer_error(fetch: HttpFetch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}{KEYS}"
        with pytest.raises(IssuerError, match=r"^`[^`]+` cannot be fetched: Connection refused$"):
            await get(fetch, url)


@asynccontextmanager
async def a_server(said: bytes, **more: Any) -> AsyncIterator[int]:
    """Run a server that says one thing to everybody and closes, and yield its port."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0, **more)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_an_answer_that_is_not_http_is_an_issuer_error(fetch: HttpFetch) -> None:
    async with a_server(b"SSH-2.0-server\r\n") as port:
        with pytest.raises(IssuerError, match="cannot be fetched: the answer is not valid HTTP"):
            await get(fetch, f"http://127.0.0.1:{port}/")


async def test_half_an_answer_is_none(fetch: HttpFetch) -> None:
    async with a_server(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody") as port:
        with pytest.raises(IssuerError, match="closed before the answer was complete"):
            await get(fetch, f"http://127.0.0.1:{port}/")


async def test_the_request_names_the_host_as_it_is_configured(provider: Provider, fetch: HttpFetch) -> None:
    provider.documents["/"] = b"body"
    port = provider.url.rpartition(":")[2]
    for url, host in [
        (provider.url, f"127.0.0.1:{port}"),
        (f"http://localhost:{port}/", f"localhost:{port}"),
        (f"http://LOCALHOST:{port}?a=b", f"LOCALHOST:{port}"),
    ]:
        assert await get(fetch, url) == b"body"
        assert provider.requests[-1].headers["Host"] == host
    assert provider.requests[-1].raw_path == "/?a=b"


async def test_an_address_that_does_not_answer_leaves_time_for_the_next(
    provider: Provider, fetch: HttpFetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name has an address at which nobody listens, one at which nobody answers, and a good one."""
    provider.documents["/d"] = b"body"
    port = int(provider.url.rpartition(":")[2])
    with socket.socket() as full:
        full.bind(("127.0.0.2", port))
        full.listen(0)
        with socket.create_connection(("127.0.0.2", port)), socket.socket() as waits:
            waits.setblocking(False)
            waits.connect_ex(("127.0.0.2", port))  # the queue is full: further connections get no answer

            async def found(*_: object, **__: object) -> list[tuple[object, ...]]:
                return [
                    (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                    for address in ("127.0.0.3", "127.0.0.2", "127.0.0.2", "127.0.0.1")
                ]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
            assert await get(fetch, f"http://issuer.example:{port}/d", timeout_s=1.5) == b"body"


class Rooms:
    """A directory in which OpenSSL looks authorities up, and a bundle, as a system has them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = folder / "certs"
        self.directory.mkdir()
        self.bundle = folder / "bundle.pem"
        self.bundle.touch()
        paths = ssl.get_default_verify_paths()._replace(cafile=str(self.bundle), capath=str(self.directory))
        monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)

        def load(context: ssl.SSLContext, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH) -> None:
            if self.bundle.read_bytes():
                context.load_verify_locations(self.bundle)

        monkeypatch.setattr(ssl.SSLContext, "load_default_certs", load)

    def know(self, ca_file: Path) -> None:
        """Put an authority into the directory, under the name by which OpenSSL asks for it."""
        name = subprocess.run(
            ["openssl", "x509", "-subject_hash", "-noout", "-in", ca_file],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
        (self.directory / f"{name}.0").write_bytes(ca_file.read_bytes())


@pytest.mark.parametrize("known_to", ["directory", "bundle", "nobody"])
async def test_authorities_of_the_system_are_looked_up_and_then_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known_to: str
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    rooms = Rooms(tmp_path, monkeypatch)
    ca_file, key_file = certificate_for_loopback(tmp_path)
    if known_to == "directory":
        rooms.know(ca_file)
    elif known_to == "bundle":
        rooms.bundle.write_bytes(ca_file.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    fetch = HttpFetch()
    async with a_server(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", ssl=context) as port:
        for _ in range(2):
            if known_to == "nobody":
                with pytest.raises(IssuerError, match="CERTIFICATE_VERIFY_FAILED"):
                    await get(fetch, f"https://127.0.0.1:{port}/")
            else:
                assert await get(fetch, f"https://127.0.0.1:{port}/") == b"body"
    # Read whole only where that was needed.
    assert (None in fetch._contexts) is (known_to != "directory")


@pytest.mark.parametrize("addresses", [("127.0.0.1", "127.0.0.3"), ("127.0.0.3", "127.0.0.1")])
async def test_authorities_are_read_also_where_another_address_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    rooms = Rooms(tmp_path, monkeypatch)
    authority = Authority(tmp_path)
    rooms.bundle.write_bytes(authority.ca_file.read_bytes())
    issued = authority.server("issuer.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate_file, issued.key_file)

    async def resolved(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    async with a_server(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", ssl=context) as port:
        assert await get(HttpFetch(), f"https://issuer.example:{port}/") == b"body"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_who_names_other_authorities_is_not_second_guessed(
    monkeypatch: pytest.MonkeyPatch, variable: str, tmp_path: Path
) -> None:
    monkeypatch.setenv(variable, str(tmp_path))
    assert lookup_context() is None


def test_without_a_directory_nothing_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = ssl.get_default_verify_paths()._replace(capath=None)  # type: ignore[arg-type]  # None where it is missing
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    assert lookup_context() is None


def test_a_looked_up_authority_is_not_believed_any_less_carefully(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    found, usual = lookup_context(), ssl.create_default_context()
    assert found is not None
    for name in ("verify_mode", "check_hostname", "verify_flags", "minimum_version", "options"):
        assert getattr(found, name) == getattr(usual, name)


async def test_a_connection_that_is_closed_in_the_handshake_is_said_to_be(fetch: HttpFetch) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(IssuerError, match=r"cannot be fetched: \S"):
            await get(fetch, f"https://127.0.0.1:{port}/")


async def test_a_name_may_end_with_the_dot_of_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolved(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    authority = Authority(tmp_path)
    issued = authority.server("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate_file, issued.key_file)
    async with a_server(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", ssl=context) as port:
        for host in ("localhost", "localhost."):
            found = await HttpFetch()(
                f"https://{host}:{port}/", timeout_s=5, max_bytes=100, ca_file=authority.ca_file
            )
            assert found == b"body"


async def test_authorities_are_read_once_and_anew_by_a_reload(tmp_path: Path) -> None:
    first, key_file = certificate_for_loopback(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(first, key_file)
    async with a_server(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", ssl=context) as port:
        url, fetch = f"https://127.0.0.1:{port}/", HttpFetch()
        for _ in range(2):
            assert await fetch(url, timeout_s=5, max_bytes=100, ca_file=first) == b"body"
            certificate_for_loopback(tmp_path)  # the file holds another authority from here on
        with pytest.raises(IssuerError, match="CERTIFICATE_VERIFY_FAILED"):
            await HttpFetch()(url, timeout_s=5, max_bytes=100, ca_file=first)


async def test_a_ca_file_that_is_missing_is_an_issuer_error(fetch: HttpFetch) -> None:
    with pytest.raises(IssuerError, match="cannot be fetched"):
        await fetch("https://127.0.0.1:1/", timeout_s=1, max_bytes=1, ca_file=Path("/nonexistent.pem"))


def certificate_for_loopback(folder: Path) -> tuple[Path, Path]:
    """Return files of a self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime.now(UTC) - timedelta(minutes=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    return folder / "ca.pem", folder / "key.pem"


async def test_a_server_is_believed_only_with_a_certificate_that_is_trusted(
    fetch: HttpFetch, tmp_path: Path
) -> None:
    ca_file, key_file = certificate_for_loopback(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    async with a_server(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", ssl=context) as port:
        url = f"https://127.0.0.1:{port}/"
        with pytest.raises(IssuerError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch(url, timeout_s=5, max_bytes=100, ca_file=None)
        assert await fetch(url, timeout_s=5, max_bytes=100, ca_file=ca_file) == b"body"
        # A certificate that is trusted, but for another name.
        with pytest.raises(IssuerError, match="cannot be fetched"):
            await fetch(url.replace("127.0.0.1", "localhost"), timeout_s=5, max_bytes=100, ca_file=ca_file)
