"""Which certificate for which name, and files that are followed."""

import base64
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from proxy.accept.certificates import CertificateFiles
from proxy.accept.tls import Tls, TlsRules, context_for, stamp_of, thumbprint
from proxy.errors import ConfigurationError
from tests.kit.certificates import Authority, Issued


def rules(*issued: Issued, ca_file: Path | None = None) -> TlsRules:
    pairs = tuple(CertificateFiles(one.certificate_file, one.key_file) for one in issued)
    return TlsRules(certificates=pairs, client_ca_file=ca_file)


def test_the_context_speaks_nothing_old(tmp_path: Path) -> None:
    context = Tls(rules(Authority(tmp_path).server("a.example.com"))).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    for option in (ssl.OP_NO_COMPRESSION, ssl.OP_NO_RENEGOTIATION):
        assert context.options & option
    ciphers = context.get_ciphers()
    assert ciphers
    assert all(cipher["aead"] and "AES128-CCM" not in cipher["name"] for cipher in ciphers)
    old = [cipher for cipher in ciphers if cipher["protocol"] != "TLSv1.3"]
    assert all(cipher["name"].startswith("ECDHE-") for cipher in old)
    assert context.verify_mode is ssl.CERT_NONE


def test_exact_names_come_before_wildcards_of_one_label() -> None:
    exact, anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    by_name = {"a.example.com": exact, "*.example.com": anyone, "own.example.com": None}
    expected = {
        "a.example.com": exact,
        "A.Example.COM.": exact,
        "b.example.com": anyone,
        "own.example.com": None,
        "b.a.example.com": None,
        "example.com": None,
        "": None,
        "com": None,
        "*.example.com": anyone,
    }
    assert {name: context_for(name, by_name) for name in expected} == expected


def test_a_thumbprint_is_that_of_the_library(tmp_path: Path) -> None:
    issued = Authority(tmp_path).client("a")
    digest = issued.certificate.fingerprint(SHA256())
    assert thumbprint(issued.der) == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert len(thumbprint(issued.der)) == 43


def test_files_are_put_in_force_when_nothing_moves_any_more(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = Tls(rules(authority.server("a.example.com")))
    before = tls.context
    for _ in range(3):
        tls.refresh()
    assert tls.context is before
    authority.server("a.example.com", days=8)
    tls.refresh()
    assert tls.context is before  # a second look first
    tls.refresh()
    assert tls.context is not before
    assert (tls.reloads, tls.failures) == (1, 0)


def test_a_bad_file_is_tried_once_and_keeps_the_old_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    issued = Authority(tmp_path).server("a.example.com")
    tls = Tls(rules(issued))
    before = tls.context
    issued.certificate_file.write_text("x")
    for _ in range(5):
        tls.refresh()
    assert tls.context is before
    assert (tls.reloads, tls.failures) == (0, 1)
    assert caplog.text.count("the old ones stay in force") == 1


def test_files_that_come_back_as_they_were_are_not_read_again(tmp_path: Path) -> None:
    issued = Authority(tmp_path).server("a.example.com")
    tls = Tls(rules(issued))
    aside = issued.key_file.rename(tmp_path / "aside")
    tls.refresh()
    aside.rename(issued.key_file)
    tls.refresh()
    tls.refresh()
    assert (tls.reloads, tls.failures) == (0, 0)


def test_the_authorities_of_clients_are_followed_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = Tls(rules(authority.server("a.example.com"), ca_file=authority.ca_file))
    assert tls.context.verify_mode is ssl.CERT_OPTIONAL
    authority.ca_file.write_text("x")
    tls.refresh()
    tls.refresh()
    assert tls.failures == 1
    with pytest.raises(ConfigurationError, match="holds no certificate in PEM form"):
        Tls(tls.rules)


def test_a_stamp_shows_that_a_file_is_gone_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert stamp_of([path]) == (None,)
    path.write_text("a")
    first = stamp_of([path])
    other = tmp_path / "b"
    other.write_text("b")
    other.replace(path)
    assert stamp_of([path]) != first


def test_the_number_of_certificates_is_shown(tmp_path: Path) -> None:
    assert repr(Tls(rules(Authority(tmp_path).server("a.example.com")))) == "<Tls [1 certificates]>"
