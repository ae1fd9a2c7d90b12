"""Sockets in the configuration: one or several, and keys that do not belong together."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from proxy.settings.addresses import Address
from proxy.settings.listening import SystemdAddress, UnixAddress
from tests.settings.files import SMALL, load_text, problems_of


def with_listen(text: str) -> str:
    return f"{SMALL}listen: {text}\n"


def test_without_a_word_there_is_one_socket(tmp_path: Path) -> None:
    (only,) = load_text(tmp_path, SMALL).listen.every_socket
    assert only.address == Address("127.0.0.1", 8080)
    assert (only.tls, only.proxy_protocol, only.trust_peers, only.mode) == (None, None, False, "0660")
    assert only.handshake_timeout == 10


def test_several_sockets_share_the_limits(tmp_path: Path) -> None:
    text = (
        "{max_connections: 5, sockets: ["
        "{address: '0.0.0.0:8443', tls: {certificates: [{certificate_file: a.crt, key_file: /etc/a.key}],"
        " client_certificates: {ca_file: ca.pem}}, proxy_protocol: {peers: [10.0.0.0/8]}},"
        "{address: 'unix:/run/a.sock', mode: '600', trust_peers: true, proxy_protocol: {}},"
        "{address: 'systemd:web', trust_peers: true}]}"
    )
    listen = load_text(tmp_path, with_listen(text)).listen
    first, second, third = listen.every_socket
    assert listen.max_connections == 5
    assert first.tls is not None
    assert first.tls.min_version == "1.2"
    assert first.tls.certificates[0].certificate_file == tmp_path / "a.crt"
    assert first.tls.certificates[0].key_file == Path("/etc/a.key")
    assert first.tls.client_certificates is not None
    assert first.tls.client_certificates.required
    assert first.proxy_protocol is not None
    assert first.proxy_protocol.peers == (ip_network("10.0.0.0/8"),)
    assert second.address == UnixAddress(Path("/run/a.sock"))
    assert third.address == SystemdAddress("web")
    assert [str(one.address) for one in listen.every_socket[1:]] == ["unix:/run/a.sock", "systemd:web"]


TLS = "tls: {certificates: [{certificate_file: a, key_file: b}]}"

WRONG = {
    "{address: 'unix:relative.sock'}": "listen.address: expected `unix:` and an absolute path",
    f"{{address: 'unix:/{'a' * 107}'}}": "listen.address: expected `unix:` and an absolute path",
    "{address: 'systemd:'}": "listen.address: expected `systemd:` and the `FileDescriptorName=`",
    "{address: 'systemd:a b'}": "listen.address: expected `systemd:` and the `FileDescriptorName=`",
    "{address: 8080}": "listen.address: expected an address such as",
    "{mode: '0660'}": "listen.mode: expected on a UNIX socket only",
    "{address: 'unix:/a', mode: '0999'}": "listen.mode: expected a file mode in quotes",
    "{address: 'unix:/a', mode: 660}": "listen.mode: expected",
    "{trust_peers: true}": "listen.trust_peers: expected on a UNIX socket only",
    "{proxy_protocol: {}}": "listen.proxy_protocol: expected `peers`",
    "{address: 'unix:/a', proxy_protocol: {}}": "listen.proxy_protocol: expected `peers`",
    "{address: 'unix:/a', proxy_protocol: {peers: [10.0.0.1]}}": "listen.proxy_protocol.peers: ",
    "{proxy_protocol: {peers: [0.0.0.0/0]}}": "listen.proxy_protocol.peers[0]: ",
    "{proxy_protocol: {peers: []}}": "listen.proxy_protocol.peers: ",
    "{tls: {certificates: []}}": "listen.tls.certificates: ",
    "{tls: {}}": "listen.tls.certificates: required, but missing",
    "{tls: {certificates: [{certificate_file: a}]}}": "listen.tls.certificates[0].key_file: required",
    f"{{{TLS[:-1]}, min_version: '1.1'}}}}": "listen.tls.min_version: ",
    f"{{{TLS[:-1]}, client_certificates: {{}}}}}}": "listen.tls.client_certificates.ca_file: required",
    "{sockets: []}": "listen.sockets: ",
    "{address: '127.0.0.1:1', sockets: [{address: 'a:1'}]}": "listen.address: expected either one",
    f"{{{TLS}, sockets: [{{address: 'a:1'}}]}}": "listen.tls: expected either one socket here or several",
    "{sockets: [{address: 'a:1'}, {address: 'a:1'}]}": "listen.sockets[1].address: expected an address",
    "{sockets: [{address: 'unix:/a'}, {address: 'unix:/a'}]}": "listen.sockets[1].address: expected",
    "{sockets: [{address: '127.0.0.1:9090'}]}": "listen.sockets[0].address: expected a port of its own",
    "{sockets: [{max_connections: 1}]}": "listen.sockets[0].max_connections: ",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_what_does_not_fit_names_key_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    (problem,) = problems_of(tmp_path, with_listen(text))
    assert problem.split(": ", 1)[1].startswith(message)


def test_ports_that_the_system_chooses_may_be_several(tmp_path: Path) -> None:
    load_text(tmp_path, with_listen("{sockets: [{address: '127.0.0.1:0'}, {address: '127.0.0.1:0'}]}"))
