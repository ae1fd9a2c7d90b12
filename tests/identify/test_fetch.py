import asyncio
import gzip
import socket
import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from proxy.errors import IssuerError
from proxy.identify.fetch import HttpFetch
from tests.identify.provider import KEYS, Provider, a_provider


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with a_provider() as provider:
        yield provider


@pytest.fixture
async def fetch() -> AsyncIterator[HttpFetch]:
    fetch = HttpFetch()
    yield fetch
    await fetch.close()


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


async def test_an_answer_that_is_not_http_is_an_issuer_error(fetch: HttpFetch) -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-server\r\n")
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(IssuerError, match="cannot be fetched"):
            await get(fetch, f"http://127.0.0.1:{port}/")


async def test_a_ca_file_that_is_missing_is_an_issuer_error(fetch: HttpFetch) -> None:
    with pytest.raises(IssuerError, match="cannot be fetched"):
        await fetch("https://127.0.0.1:1/", timeout_s=1, max_bytes=1, ca_file=Path("/nonexistent.pem"))


async def test_it_says_whether_it_is_open(provider: Provider) -> None:
    fetch = HttpFetch()
    assert repr(fetch) == "<HttpFetch idle>"
    provider.documents["/d"] = b"body"
    await get(fetch, provider.url + "/d")
    assert repr(fetch) == "<HttpFetch open>"
    await fetch.close()
    await fetch.close()
    assert repr(fetch) == "<HttpFetch idle>"


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
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
        await writer.drain()
        writer.close()

    ca_file, key_file = certificate_for_loopback(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(IssuerError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch(url, timeout_s=5, max_bytes=100, ca_file=None)
        assert await fetch(url, timeout_s=5, max_bytes=100, ca_file=ca_file) == b"body"
        # A certificate that is trusted, but for another name.
        with pytest.raises(IssuerError, match="cannot be fetched"):
            await fetch(url.replace("127.0.0.1", "localhost"), timeout_s=5, max_bytes=100, ca_file=ca_file)
