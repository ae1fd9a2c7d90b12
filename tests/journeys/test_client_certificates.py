"""Mutual TLS: who may connect, and tokens that are good only with the certificate they name (RFC 8705)."""

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from proxy.accept.tls import thumbprint
from tests.kit.certificates import Authority, Issued
from tests.kit.local_proxy import HOST, LocalProxy, get, token, until
from tests.kit.programs import program
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient


class Case:
    """An authority, two clients of it, and one that it knows nothing of."""

    def __init__(self, folder: Path) -> None:
        (folder / "other").mkdir()
        self.authority = Authority(folder)
        self.server = self.authority.server(HOST)
        self.good = self.authority.client("good")
        self.other = self.authority.client("other")
        self.stranger = Authority(folder / "other", "another authority").client("good")

    def listen(self, *, required: bool) -> dict[str, object]:
        clients = {"ca_file": str(self.authority.ca_file), "required": required}
        return {"tls": {"certificates": [self.server.files], "client_certificates": clients}}

    def context(self, client: Issued | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.ca_file))
        if client is not None:
            context.load_cert_chain(client.certificate_file, client.key_file)
        return context


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def bound_to(issued: Issued) -> bytes:
    return ask(token(cnf={"x5t#S256": thumbprint(issued.der)}))


def ask(unverified_token: str, path: str = "/") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {unverified_token}\r\n\r\n".encode()


async def test_a_bound_token_is_good_only_with_its_certificate(case: Case) -> None:
    data = bound_to(case.good)
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=case.listen(required=False)) as proxy,
        ScriptedClient(proxy.port, tls=case.context(case.good)) as owner,
        ScriptedClient(proxy.port, tls=case.context(case.other)) as thief,
        ScriptedClient(proxy.port, tls=case.context(None)) as nobody,
    ):
        # The thieves come after the token is in the cache, and before: the order must not matter.
        for client, status in ((thief, 401), (owner, 200), (thief, 401), (nobody, 401), (owner, 200)):
            response = await client.request(data)
            assert response.status == status
            assert (b"token-bound" in response.body) == (status == 401)
        assert len(upstream.requests) == 2
        certificates = [record.get("client_certificate") for record in proxy.records("decision")]
        good, other = thumbprint(case.good.der), thumbprint(case.other.der)
        assert certificates == [other, good, other, None, good]
        assert proxy.reasons.count(("decision", "token-bound")) == 3


async def test_a_bound_token_is_nothing_over_a_plain_connection(case: Case) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        response = await client.request(bound_to(case.good))
        assert response.status == 401
        assert 'error="invalid_token"' in (response.header("WWW-Authenticate") or "")
        # On a public route too, and where there is no route: a bad credential ends the request.
        for path in ("/public/a", "/.rolegate/nowhere"):
            cnf = {"x5t#S256": thumbprint(case.good.der)}
            assert (await client.request(ask(token(cnf=cnf), path))).status == 401
        assert upstream.byte_count == 0


@pytest.mark.parametrize(
    "cnf",
    [
        {"jkt": "x" * 43},
        {"x5t#S256": ""},
        {"x5t#S256": None},
        {"x5t#S256": ["x"]},
        {"x5t": "THE"},
        {"x5t#S256": "THE", "jkt": "x" * 43},
        {"x5t#S256": "THE="},
        {},
        "THE",
        None,
    ],
)
async def test_a_token_bound_in_any_other_way_is_refused(case: Case, cnf: object) -> None:
    """Also by the owner of the certificate: what else it asks for nobody has checked."""
    the = thumbprint(case.good.der)
    if isinstance(cnf, dict):
        cnf = {
            name: the if value == "THE" else f"{the}=" if value == "THE=" else value
            for name, value in cnf.items()
        }
    # None would leave the claim out.
    claim: object = {"THE": the, None: False}.get(cnf, cnf) if isinstance(cnf, str | None) else cnf
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=case.listen(required=True)) as proxy,
        ScriptedClient(proxy.port, tls=case.context(case.good)) as client,
    ):
        assert (await client.request(ask(token(cnf=claim)))).status == 401
        assert proxy.reasons == [("decision", "token-bound")]
        assert upstream.byte_count == 0


async def test_an_unbound_token_needs_no_certificate_where_none_is_required(case: Case) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=case.listen(required=False)) as proxy,
        ScriptedClient(proxy.port, tls=case.context(None)) as client,
    ):
        assert (await client.request(ask(token()))).status == 200


@pytest.mark.parametrize("who", ["nobody", "stranger", "expired", "server"])
async def test_where_a_certificate_is_required_nobody_gets_in_without_a_good_one(
    case: Case, who: str
) -> None:
    certificates = {
        "nobody": None,
        "stranger": case.stranger,
        "expired": case.authority.client("late", days=-1),
        "server": case.authority.server("client.example.com"),
    }
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=case.listen(required=True)) as proxy,
    ):
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            async with ScriptedClient(proxy.port, tls=case.context(certificates[who])) as client:
                await client.request(ask(token()))
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the end")
        assert proxy.proxy.listener.handshakes_failed == 1
        assert upstream.byte_count == 0
        assert proxy.records() == []


async def test_a_bad_certificate_is_refused_where_none_is_required(case: Case) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=case.listen(required=False)) as proxy,
    ):
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            async with ScriptedClient(proxy.port, tls=case.context(case.stranger)) as client:
                await client.request(ask(token()))
        assert upstream.byte_count == 0


@pytest.mark.component("curl")
async def test_curl_with_a_certificate(case: Case) -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=case.listen(required=True)) as proxy,
    ):
        bound = token(cnf={"x5t#S256": thumbprint(case.good.der)})
        result = await asyncio.to_thread(curl, case, proxy.port, case.good, bound)
        assert result == "200 1.1"
        assert await asyncio.to_thread(curl, case, proxy.port, case.other, bound) == "401 1.1"
        assert len(upstream.requests) == 1


def curl(case: Case, port: int, client: Issued, bearer: str) -> str:
    command = [
        *(program("curl"), "--silent", "--show-error", "--max-time", "10", "--output", "/dev/null"),
        *("--write-out", "%{http_code} %{http_version}", "--cacert", str(case.authority.ca_file)),
        *("--cert", str(client.certificate_file), "--key", str(client.key_file)),
        *("--resolve", f"{HOST}:{port}:127.0.0.1", "--header", f"Authorization: Bearer {bearer}"),
        f"https://{HOST}:{port}/a",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout


def ask_in(
    port: int, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[bytes, ssl.SSLSession | None]:
    """Return the answer, nothing for an end, and the session now; fail if `session` was not resumed."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=HOST, session=session) as secure,
    ):
        try:
            secure.sendall(get("/a"))
            answer = secure.recv(65_536)[:12]
        except OSError:  # a reset, for which OpenSSL has several names
            answer = b""
        assert secure.session_reused is (session is not None)
        return answer, secure.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_does_not_outlive_the_certificate_that_it_goes_by(
    case: Case, version: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or who came once before the end of it, and comes again and again, comes for ever."""
    context = case.context(case.good)
    context.maximum_version = version
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=case.listen(required=True)) as proxy,
    ):
        answer, session = await asyncio.to_thread(ask_in, proxy.port, context, None)
        assert answer == b"HTTP/1.1 200"
        answer, session = await asyncio.to_thread(ask_in, proxy.port, context, session)
        assert answer == b"HTTP/1.1 200"
        after = case.good.certificate.not_valid_after_utc.timestamp()
        monkeypatch.setattr("proxy.accept.greeting.time", lambda: after)
        answer, _ = await asyncio.to_thread(ask_in, proxy.port, context, session)
        assert answer == b""
        listener = proxy.proxy.listener
        assert (len(upstream.requests), listener.handshakes_failed) == (2, 1)
        await until(lambda: listener.connection_count == 0, what="the end of the connections")
        assert len(listener.crowd) == 0
