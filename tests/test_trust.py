"""Whom we believe: always somebody in particular, and for the system the same however it is read."""

import shutil
import ssl
from pathlib import Path

import pytest

from proxy.trust import client_context, hashed_directory
from tests.kit.certificates import Authority

HASH = "deadbeef.0"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    folder = tmp_path / "certs"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("ca_file", [None, "own"])
def test_certificate_and_name_are_verified(tmp_path: Path, ca_file: str | None) -> None:
    file = Authority(tmp_path).ca_file if ca_file else None
    context = client_context(file)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_flags == ssl.create_default_context().verify_flags


def test_a_file_of_authorities_stands_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (known,) = client_context(authority.ca_file).get_ca_certs(binary_form=True)
    assert known == ssl.PEM_cert_to_DER_cert(authority.ca_file.read_text())
    with pytest.raises(OSError, match="No such file"):
        client_context(tmp_path / "missing.pem")


def test_a_directory_that_has_the_whole_bundle_is_enough(tmp_path: Path, directory: Path) -> None:
    first, second = Authority(tmp_path, "first").ca_file, Authority(tmp_path, "second").ca_file
    bundle = tmp_path / "bundle.pem"
    # The same certificates, written in other lines, with words between them.
    bundle.write_text(
        "# first\n" + first.read_text().replace("\n", "\r\n") + "# second\n" + second.read_text()
    )
    shutil.copy(first, directory / HASH)
    assert hashed_directory(str(bundle), str(directory)) is None, "one is missing"
    hashed_directory.cache_clear()
    shutil.copy(second, directory / "second.pem")
    assert hashed_directory(str(bundle), str(directory)) is None, "OpenSSL would not find that one"
    hashed_directory.cache_clear()
    shutil.copy(second, directory / "deadbeef.1")
    assert hashed_directory(str(bundle), str(directory)) == str(directory)
    assert hashed_directory(None, str(directory)) == str(directory)


@pytest.mark.parametrize("bundle", [None, "empty.pem", "missing.pem"])
def test_an_empty_or_missing_directory_is_never_enough(
    tmp_path: Path, directory: Path, bundle: str | None
) -> None:
    (tmp_path / "empty.pem").touch()
    name = None if bundle is None else str(tmp_path / bundle)
    for folder in (None, str(directory), str(tmp_path / "nowhere")):
        assert hashed_directory(name, folder) is None


def test_what_cannot_be_read_is_not_enough(tmp_path: Path, directory: Path) -> None:
    shutil.copy(Authority(tmp_path).ca_file, directory / HASH)
    assert hashed_directory(str(tmp_path / "missing.pem"), str(directory)) is None
    (directory / "00000000.0").symlink_to(tmp_path / "gone.pem")
    assert hashed_directory(None, str(directory)) is None


@pytest.mark.parametrize("is_hashed", [False, True])
def test_the_bundle_that_a_variable_names_is_believed(
    tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch, is_hashed: bool
) -> None:
    """`SSL_CERT_FILE` is how OpenSSL is told of other authorities; the directory does not have them."""
    authority = Authority(tmp_path)
    (directory / HASH).write_bytes(Authority(tmp_path, "other").ca_file.read_bytes())
    if is_hashed:
        shutil.copy(authority.ca_file, directory / "deadbeef.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    monkeypatch.setenv("SSL_CERT_DIR", str(directory))
    loaded = client_context(None).get_ca_certs(binary_form=True)
    # From a directory nothing is loaded before it is needed.
    expected = [] if is_hashed else [ssl.PEM_cert_to_DER_cert(authority.ca_file.read_text())]
    assert loaded == expected
