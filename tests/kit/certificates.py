"""
Certificates for tests: an authority, and what it issues, in PEM files.

Keys are on a curve, since making an RSA key takes longer than a test may.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate with its key, as files and as it is."""

    certificate_file: Path
    key_file: Path
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The certificate as it goes over the wire."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def files(self) -> dict[str, str]:
        """The pair as a configuration names it."""
        return {"certificate_file": str(self.certificate_file), "key_file": str(self.key_file)}


class Authority:
    """An authority of our own; everything it makes lies in `folder`."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = _builder(self._name, self._name, self._key.public_key(), days=10)
        certificate = certificate.add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.certificate = certificate.add_extension(_usage(ca=True), critical=True).sign(
            self._key, hashes.SHA256()
        )
        self.ca_file = folder / f"{name.replace(' ', '-')}.pem"
        self.ca_file.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def server(self, *names: str, file: str = "", days: float = 5) -> Issued:
        """Return a certificate for `names`; `days` may be negative for one that has expired."""
        return self.issue(
            names, ExtendedKeyUsageOID.SERVER_AUTH, file=file or names[0].replace("*", "any"), days=days
        )

    def client(self, name: str, *, days: float = 5) -> Issued:
        """Return a certificate for a client."""
        return self.issue((name,), ExtendedKeyUsageOID.CLIENT_AUTH, file=f"client-{name}", days=days)

    def issue(
        self, names: Sequence[str], usage: x509.ObjectIdentifier, *, file: str, days: float = 5
    ) -> Issued:
        """Return a certificate; files that were there before are replaced."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        builder = _builder(subject, self._name, key.public_key(), days=days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(_usage(ca=False), critical=True)
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = builder.add_extension(authority_key, critical=False).sign(self._key, hashes.SHA256())
        issued = Issued(
            certificate_file=self.folder / f"{file}.crt",
            key_file=self.folder / f"{file}.key",
            certificate=certificate,
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        issued.key_file.write_bytes(private)
        issued.key_file.chmod(0o600)
        issued.certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        return issued


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: float
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - 10 * DAY).not_valid_after(now + days * DAY)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
