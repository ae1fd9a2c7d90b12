"""New connections: which address is connected to, and what is never connected to."""

import asyncio
import ssl
from ipaddress import ip_network
from pathlib import Path

import pytest

from proxy.errors import UpstreamError
from proxy.forward.dialing import Dialer
from proxy.model.upstream import Endpoint, Tls
from proxy.settings.origins import METADATA_NETWORKS
from proxy.tasks import TaskOwner
from tests.forward.test_names import Answers
from tests.forward.test_pool import an_upstream
from tests.kit.certificates import Authority, Issued
from tests.kit.local_proxy import until
from tests.kit.ports import LOOPBACK, free_port
from tests.kit.recorder import RecordingUpstream

ON_BOTH_LOOPS = True


class Plain(asyncio.Protocol):
    """Keeps its transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def close(self) -> None:
        self.transport.close()


async def dial(endpoint: Endpoint, **changes: object) -> None:
    """Connect and close, or raise what the dialer raises."""
    tasks = TaskOwner()
    upstream = an_upstream(endpoints=(endpoint,), **changes)
    try:
        (await Dialer(upstream, endpoint, tasks, lambda: 0.0).connect(Plain, 2)).close()
    finally:
        await tasks.close()


def named(port: int) -> Endpoint:
    return Endpoint(host="a.example", port=port)


async def test_the_address_that_was_judged_is_the_one_that_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever answers a second question with a metadata address is not asked one."""
    script = Answers((LOOPBACK,), ("169.254.169.254",))
    monkeypatch.setattr("proxy.forward.names.resolve", script)
    async with RecordingUpstream() as upstream:
        await dial(named(upstream.port), denied_networks=METADATA_NETWORKS)
        await until(lambda: len(upstream.connections) == 1, what="the connection")
        assert script.asked == 1


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254"])
async def test_a_name_that_leads_to_a_denied_network_leads_nowhere(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.forward.names.resolve", Answers((address,)))
    with pytest.raises(UpstreamError, match="which is denied"):
        await dial(named(80), denied_networks=METADATA_NETWORKS)


async def test_an_address_written_in_the_configuration_is_judged_too() -> None:
    async with RecordingUpstream() as upstream:
        with pytest.raises(UpstreamError, match="which is denied"):
            await dial(
                Endpoint(host=LOOPBACK, port=upstream.port), denied_networks=(ip_network("127.0.0.0/8"),)
            )
        assert upstream.connections == []


async def test_addresses_are_tried_until_one_takes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = ("127.0.0.1", "127.0.0.9", "169.254.169.254")
    monkeypatch.setattr("proxy.forward.names.resolve", Answers(addresses))
    async with RecordingUpstream() as upstream:
        for _ in addresses:
            await dial(named(upstream.port), denied_networks=METADATA_NETWORKS)
        await until(lambda: len(upstream.connections) == 3, what="the connections")


async def test_the_last_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.forward.names.resolve", Answers(("127.0.0.2", "127.0.0.3")))
    with pytest.raises(ConnectionRefusedError):
        await dial(named(free_port()))
    monkeypatch.setattr("proxy.forward.names.resolve", Answers(OSError("no such name")))
    with pytest.raises(UpstreamError, match="has no address"):
        await dial(named(80))


async def test_a_socket_is_connected_to_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    accepted: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(lambda _, writer: accepted.append(writer), path)
    await dial(Endpoint(path=str(path)), denied_networks=METADATA_NETWORKS)
    await until(lambda: bool(accepted), what="the connection")
    accepted[0].close()
    server.close()
    with pytest.raises(FileNotFoundError):
        await dial(Endpoint(path=str(tmp_path / "none.sock")))


class TlsServer:
    """A server that shows a certificate, and keeps what it learns in the handshake."""

    def __init__(
        self, issued: Issued, *, client_ca: Path | None = None, most: ssl.TLSVersion | None = None
    ) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(issued.certificate_file, issued.key_file)
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        self._context.sni_callback = lambda _, name, __: self.names.append(name)
        if most is not None:
            self._context.maximum_version = most
        if client_ca is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(client_ca)
        self.names: list[str | None] = []
        self.protocols: list[str | None] = []
        self.peers: list[object] = []

    async def __aenter__(self) -> "TlsServer":
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0, ssl=self._context)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *arguments: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = writer.get_extra_info("ssl_object")
        self.protocols.append(tls.selected_alpn_protocol())
        self.peers.append(tls.getpeercert())
        try:
            await reader.read()
        except OSError:
            pass  # the client leaves without taking leave
        writer.close()

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(host=LOOPBACK, port=self.port, is_tls=True)


async def test_a_certificate_of_our_authority_for_the_right_name_is_accepted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with TlsServer(authority.server("api.internal")) as server:
        await dial(server.endpoint, tls=Tls(ca_file=authority.ca_file, server_name="api.internal"))
        await until(lambda: bool(server.protocols), what="the handshake")
        assert (server.names, server.protocols) == (["api.internal"], ["http/1.1"])


async def test_any_other_certificate_is_refused(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "somebody else")
    good, late = authority.server("api.internal"), authority.server("late.internal", days=-1)
    for issued, tls in (
        (good, Tls(ca_file=authority.ca_file, server_name="other.internal")),
        (good, Tls(ca_file=authority.ca_file)),  # it is for no address
        (good, Tls(ca_file=stranger.ca_file, server_name="api.internal")),
        (good, Tls(server_name="api.internal")),
        (late, Tls(ca_file=authority.ca_file, server_name="late.internal")),
    ):
        async with TlsServer(issued) as server:
            with pytest.raises(ssl.SSLCertVerificationError):
                await dial(server.endpoint, tls=tls)


async def test_a_version_below_the_least_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.server("api.internal")
    async with TlsServer(issued, most=ssl.TLSVersion.TLSv1_2) as server:
        tls = {"ca_file": authority.ca_file, "server_name": "api.internal"}
        await dial(server.endpoint, tls=Tls(**tls))  # type: ignore[arg-type]  # fields of two types
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dial(server.endpoint, tls=Tls(**tls, minimum_version="1.3"))  # type: ignore[arg-type]  # as above


async def test_our_certificate_is_shown_to_who_asks_for_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours = authority.client("rolegate")
    issued = authority.server("api.internal")
    async with TlsServer(issued, client_ca=authority.ca_file, most=ssl.TLSVersion.TLSv1_2) as server:
        tls = {"ca_file": authority.ca_file, "server_name": "api.internal"}
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dial(server.endpoint, tls=Tls(**tls))  # type: ignore[arg-type]  # as above
        await dial(
            server.endpoint,
            tls=Tls(**tls, certificate_file=ours.certificate_file, key_file=ours.key_file),  # type: ignore[arg-type]  # as above
        )
        await until(lambda: bool(server.peers), what="the handshake")
        assert "rolegate" in str(server.peers[-1])
