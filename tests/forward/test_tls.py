"""The context of upstream connections: what it demands, and that it follows its files."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from proxy.errors import ConfigurationError
from proxy.forward.tls import ClientTls
from proxy.model.upstream import Tls
from tests.kit.certificates import Authority


def test_verification_is_always_on_and_old_versions_are_off() -> None:
    context = ClientTls(Tls()).context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert ClientTls(Tls(minimum_version="1.3")).context().minimum_version is ssl.TLSVersion.TLSv1_3


def test_the_name_is_that_of_the_url_or_the_one_that_is_written() -> None:
    assert ClientTls(Tls()).server_name("a.example") == "a.example"
    assert ClientTls(Tls(server_name="b.example")).server_name("a.example") == "b.example"


def test_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = ClientTls(Tls(ca_file=authority.ca_file))
    first = tls.context()
    assert tls.context() is first
    Authority(tmp_path)
    second = tls.context()
    assert second is not first
    assert second.get_ca_certs() != first.get_ca_certs()


def test_a_changed_file_that_cannot_be_used_leaves_the_last_good_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    tls = ClientTls(Tls(ca_file=authority.ca_file))
    first = tls.context()
    authority.ca_file.write_text("half a fil")
    assert tls.context() is first
    authority.ca_file.unlink()
    assert tls.context() is first
    assert caplog.text.count("are not used") == 2


def test_what_cannot_be_used_is_the_operators_error(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours, other = authority.client("rolegate"), authority.client("other")
    locked = tmp_path / "locked.pem"
    key = load_pem_private_key(ours.key_file.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    for tls in (
        Tls(ca_file=tmp_path / "none.pem"),
        Tls(certificate_file=ours.certificate_file, key_file=other.key_file),
        Tls(certificate_file=ours.certificate_file, key_file=locked),
        Tls(certificate_file=ours.certificate_file),
    ):
        with pytest.raises(ConfigurationError, match=r"^`tls[.`]"):
            ClientTls(tls)
    assert repr(ClientTls(Tls())) == "<ClientTls minimum_version=1.2>"
