"""Certificate files: what cannot be used says which file and why, what is doubtful is said too."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from proxy.accept.certificates import (
    MAX_FILE_BYTES,
    CertificateFiles,
    doubts_about,
    read_certificate,
    read_chain,
)
from proxy.errors import ConfigurationError
from tests.kit.certificates import Authority, Issued


def files_of(issued: Issued) -> CertificateFiles:
    return CertificateFiles(issued.certificate_file, issued.key_file)


def test_a_certificate_says_its_names_and_its_times(tmp_path: Path) -> None:
    issued = Authority(tmp_path).server("A.example.com", "*.b.example.com", file="a")
    found = read_certificate(files_of(issued))
    assert found.names == ("a.example.com", "*.b.example.com")
    assert found.ends_at == issued.certificate.not_valid_after_utc.timestamp()
    assert found.starts_at < time.time() < found.ends_at
    assert doubts_about(found, time.time()) == []


def encrypt(issued: Issued) -> None:
    key = load_pem_private_key(issued.key_file.read_bytes(), None)
    secret = BestAvailableEncryption(b"secret")
    issued.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))


FAULTS: dict[str, tuple[Callable[[Issued], object], str]] = {
    "no certificate file": (lambda it: it.certificate_file.unlink(), "cannot read `{crt}`: No such file"),
    "no key file": (lambda it: it.key_file.unlink(), "cannot read `{key}`: No such file"),
    "an empty file": (
        lambda it: it.certificate_file.write_text(""),
        "`{crt}` holds no certificate in PEM form",
    ),
    "no certificate": (
        lambda it: it.certificate_file.write_text("x"),
        "`{crt}` holds no certificate in PEM form",
    ),
    "no key": (lambda it: it.key_file.write_text("x"), "`{key}` holds no private key in PEM form"),
    "an encrypted key": (encrypt, "the key in `{key}` is encrypted; a key without a passphrase is needed"),
    "a file without end": (
        lambda it: it.certificate_file.write_bytes(b"a" * (MAX_FILE_BYTES + 1)),
        "`{crt}` is larger than",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_what_cannot_be_used_names_file_and_cause(
    tmp_path: Path, spoil: Callable[[Issued], object], message: str
) -> None:
    issued = Authority(tmp_path).server("a.example.com")
    spoil(issued)
    with pytest.raises(ConfigurationError) as caught:
        read_certificate(files_of(issued))
    assert message.format(crt=issued.certificate_file, key=issued.key_file) in str(caught.value)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.server("a.example.com"), authority.server("b.example.com")
    with pytest.raises(ConfigurationError) as caught:
        read_certificate(CertificateFiles(one.certificate_file, other.key_file))
    expected = f"the key in `{other.key_file}` does not belong to the certificate in `{one.certificate_file}`"
    assert str(caught.value) == expected


def test_a_certificate_that_has_ended_or_not_begun_is_doubtful(tmp_path: Path) -> None:
    found = read_certificate(files_of(Authority(tmp_path).server("a.example.com")))
    assert doubts_about(found, found.ends_at - 1) == []
    (ended,) = doubts_about(found, found.ends_at)
    assert "expired on 20" in ended
    assert doubts_about(found, found.starts_at) == []
    (early,) = doubts_about(found, found.starts_at - 1)
    assert "is not valid before 20" in early


@pytest.mark.parametrize(
    ("mode", "is_doubtful"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)]
)
def test_a_key_that_others_may_read_is_doubtful(tmp_path: Path, mode: int, is_doubtful: bool) -> None:
    issued = Authority(tmp_path).server("a.example.com")
    found = read_certificate(files_of(issued))
    issued.key_file.chmod(mode)
    doubts = doubts_about(found, time.time())
    assert bool(doubts) == is_doubtful
    assert all(f"`{issued.key_file}` is open to others" in doubt for doubt in doubts)
    issued.key_file.unlink()
    assert doubts_about(found, time.time()) == []


def test_a_chain_begins_with_the_leaf(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue(["a.example.com"], ExtendedKeyUsageOID.SERVER_AUTH, file="a")
    with issued.certificate_file.open("ab") as file:
        file.write(authority.ca_file.read_bytes())
    assert read_chain(issued.certificate_file) == [issued.certificate, authority.certificate]
