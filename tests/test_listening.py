"""Settings become doors, and mistakes in certificate files have a place."""

import ssl
from pathlib import Path

import pytest

from proxy.accept.sockets import PassedPlace, TcpPlace, UnixPlace
from proxy.errors import ConfigurationError
from proxy.listening import close_shared, doors_of, open_shared
from proxy.settings.schema import Settings
from proxy.vetting import problems, warnings
from tests.kit.certificates import Authority
from tests.settings.files import SMALL, load_text


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def settings_with(folder: Path, listen: str) -> Settings:
    return load_text(folder, f"{SMALL}listen: {listen}\n")


def tls(*pairs: str, more: str = "") -> str:
    certificates = ", ".join(f"{{certificate_file: {one}.crt, key_file: {one}.key}}" for one in pairs)
    return f"{{certificates: [{certificates}]{more}}}"


def test_every_key_of_a_socket_arrives_at_its_door(tmp_path: Path, authority: Authority) -> None:
    authority.server("a")
    secured = tls(
        "a", more=", min_version: '1.3', client_certificates: {ca_file: test-authority.pem, required: false}"
    )
    first, second, third = doors_of(
        settings_with(
            tmp_path,
            f"{{sockets: [{{address: '127.0.0.1:1', tls: {secured}, handshake_timeout: 3s,"
            " proxy_protocol: {peers: [10.0.0.1]}},"
            " {address: 'unix:/a', mode: '0600', trust_peers: true, proxy_protocol: {}},"
            " {address: 'systemd:web'}]}",
        )
    )
    assert first.place == TcpPlace("127.0.0.1", 1)
    assert first.tls is not None
    assert first.tls.context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert first.tls.context.verify_mode is ssl.CERT_OPTIONAL
    assert first.handshake_timeout_s == 3
    assert [str(network) for network in first.proxies] == ["10.0.0.1/32"]
    assert (first.demands_header, first.trusts_peers) == (False, False)
    assert second.place == UnixPlace(Path("/a"), 0o600)
    assert (second.demands_header, second.trusts_peers, second.tls) == (True, True, None)
    assert third.place == PassedPlace("web")
    assert third.is_plain


def test_a_required_client_certificate_is_required(tmp_path: Path, authority: Authority) -> None:
    authority.server("a")
    secured = tls("a", more=", client_certificates: {ca_file: test-authority.pem}")
    (door,) = doors_of(settings_with(tmp_path, f"{{tls: {secured}}}"))
    assert door.tls is not None
    assert door.tls.context.verify_mode is ssl.CERT_REQUIRED


def test_every_bad_file_is_reported_at_its_place(tmp_path: Path, authority: Authority) -> None:
    authority.server("a")
    other = authority.server("b")
    other.key_file.write_text("x")
    found = problems(settings_with(tmp_path, f"\n  sockets: [{{tls: {tls('a', 'b', 'c')}}}]"))
    assert [(problem.key, problem.message) for problem in found] == [
        ("listen.sockets[0].tls.certificates[1]", f"`{other.key_file}` holds no private key in PEM form"),
        (
            "listen.sockets[0].tls.certificates[2]",
            f"cannot read `{tmp_path / 'c.crt'}`: No such file or directory",
        ),
    ]
    assert all(problem.place.startswith(str(tmp_path)) for problem in found)


def test_bad_authorities_are_reported(tmp_path: Path, authority: Authority) -> None:
    authority.server("a")
    secured = tls("a", more=", client_certificates: {ca_file: missing.pem}")
    (problem,) = problems(settings_with(tmp_path, f"{{tls: {secured}}}"))
    assert (problem.key, problem.message) == (
        "listen.tls",
        f"cannot read `{tmp_path / 'missing.pem'}`: No such file or directory",
    )


def test_what_is_doubtful_is_a_warning(tmp_path: Path, authority: Authority) -> None:
    authority.server("a", days=-1)
    authority.server("b").key_file.chmod(0o644)
    settings = settings_with(tmp_path, f"{{tls: {tls('a', 'b')}}}")
    assert problems(settings) == []
    found = [(warning.key, warning.message) for warning in warnings(settings) if "listen" in warning.key]
    assert [key for key, _ in found] == ["listen.tls.certificates[0]", "listen.tls.certificates[1]"]
    assert "expired on" in found[0][1]
    assert "is open to others than its owner" in found[1][1]


def test_a_configuration_without_tls_reads_no_files(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, "{address: '127.0.0.1:1'}")
    assert problems(settings) == []
    (door,) = doors_of(settings)
    assert door.is_plain


def test_what_only_one_process_can_bind_is_opened_for_all(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    shared = open_shared(
        settings_with(tmp_path, f"{{sockets: [{{address: '127.0.0.1:0'}}, {{address: 'unix:{path}'}}]}}")
    )
    assert {at: [str(it.file.path) for it in opened if it.file] for at, opened in shared.items()} == {
        1: [str(path)]
    }
    close_shared(shared)
    assert not path.exists()


def test_if_one_cannot_be_opened_nothing_is_left_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    sockets = f"{{sockets: [{{address: 'unix:{path}'}}, {{address: 'unix:{tmp_path}/none/b.sock'}}]}}"
    with pytest.raises(ConfigurationError, match="cannot listen on `unix:"):
        open_shared(settings_with(tmp_path, sockets))
    assert not path.exists()
