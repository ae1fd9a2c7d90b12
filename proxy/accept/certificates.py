"""
Certificate files: read, checked against their key, and what may be wrong with them all the same.

A certificate that cannot be used is a ConfigurationError that names file and cause. What works and
is probably not meant is a doubt: an expired certificate, a key that others may read.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from proxy.errors import ConfigurationError

# A chain with its key takes some kilobytes; a file beyond this is something else.
MAX_FILE_BYTES = 1024 * 1024

_READABLE_BY_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where a certificate with its chain and its private key are, both PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """
    What a certificate says.

    `names` are the DNS names it is for, lower case, one leading `*.` included. `starts_at` and
    `ends_at` are epoch seconds.
    """

    files: CertificateFiles
    names: tuple[str, ...]
    starts_at: float
    ends_at: float


def read_certificate(files: CertificateFiles) -> Certificate:
    """Return the certificate, or raise ConfigurationError if it cannot be used with its key."""
    leaf = read_chain(files.certificate)[0]
    key = _read_key(files.key)
    if leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != key:
        raise ConfigurationError(
            f"the key in `{files.key}` does not belong to the certificate in `{files.certificate}`"
        )
    return Certificate(
        files=files,
        names=_names_of(leaf),
        starts_at=leaf.not_valid_before_utc.timestamp(),
        ends_at=leaf.not_valid_after_utc.timestamp(),
    )


def read_chain(path: Path) -> list[x509.Certificate]:
    """Return the certificates of a PEM file, one at least, or raise ConfigurationError."""
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise ConfigurationError(f"`{path}` holds no certificate in PEM form") from error


def doubts_about(certificate: Certificate, now: float) -> list[str]:
    """Return what is probably not meant, in words."""
    path, found = certificate.files.certificate, []
    if now >= certificate.ends_at:
        found.append(f"the certificate in `{path}` expired on {_day(certificate.ends_at)}")
    if now < certificate.starts_at:
        found.append(f"the certificate in `{path}` is not valid before {_day(certificate.starts_at)}")
    try:
        mode = certificate.files.key.stat().st_mode
    except OSError:
        mode = 0
    if mode & _READABLE_BY_OTHERS:
        found.append(
            f"the key in `{certificate.files.key}` is open to others than its owner; make its mode 0600"
        )
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read `{path}`: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(f"`{path}` is larger than {MAX_FILE_BYTES} bytes")
    return content


def _read_key(path: Path) -> bytes:
    """Return the public half of a private key."""
    try:
        key = load_pem_private_key(_read(path), None)
    except TypeError as error:
        raise ConfigurationError(
            f"the key in `{path}` is encrypted; a key without a passphrase is needed"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"`{path}` holds no private key in PEM form") from error
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment))
