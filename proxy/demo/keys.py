"""
Development keys: made on this machine, kept in a file for their owner's eyes, published as a key set.

Law: a key file is created with mode 0600 and never written over. Nothing here reaches the data plane:
a proxy believes such a key only if an operator pins it, or configures the issuer that publishes it.
"""

import hashlib
import json
import os
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt import PyJWS
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from proxy.errors import ConfigurationError

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

RSA_BITS = 2048
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
}
ALGORITHMS = (*_RSA, *_CURVES, "EdDSA")
"""Every algorithm that a development key can sign with."""

# RFC 7638, 3.2: the members that make the thumbprint, by kind of key.
_REQUIRED = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}

_JWS = PyJWS(algorithms=list(ALGORITHMS))


@dataclass(frozen=True, slots=True, repr=False)
class DevelopmentKey:
    """A private key with the algorithms it can sign with, the usual one first."""

    private: PrivateKey
    algorithms: tuple[str, ...]

    @property
    def kid(self) -> str:
        """The thumbprint of the public key (RFC 7638): the same key has the same name everywhere."""
        jwk = self.public_jwk()
        text = json.dumps({name: jwk[name] for name in _REQUIRED[jwk["kty"]]}, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

    def public_jwk(self) -> dict[str, str]:
        """Return the public half as a JSON Web Key (RFC 7517)."""
        private = self.private
        if isinstance(private, rsa.RSAPrivateKey):
            members = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
        elif isinstance(private, ec.EllipticCurvePrivateKey):
            members = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        else:
            members = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
        return {name: value for name, value in members.items() if isinstance(value, str)}

    def jwks(self) -> dict[str, object]:
        """Return the key set that a `jwks_file` or an issuer publishes."""
        return {"keys": [{**self.public_jwk(), "kid": self.kid, "use": "sig"}]}

    def sign(self, claims: dict[str, object], algorithm: str, typ: str) -> str:
        """Return the claims as a signed token (RFC 7515, 3.1); an empty `typ` leaves the header out."""
        payload = json.dumps(claims, separators=(",", ":")).encode()
        headers: dict[str, object] = {"kid": self.kid, "typ": typ or None}
        return _JWS.encode(payload, self.private, algorithm, headers)

    def write(self, path: Path) -> None:
        """Keep the key in a new file. Raises ConfigurationError, also if there is a file already."""
        pem = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
        except FileExistsError as error:
            raise ConfigurationError(
                f"`{path}` exists and is not written over; use it with `--key {path}`"
            ) from error
        except OSError as error:
            raise ConfigurationError(f"cannot write `{path}`: {error.strerror}") from error

    def __repr__(self) -> str:
        return f"<DevelopmentKey {self.kid}>"


def new_key(algorithm: str) -> DevelopmentKey:
    """Make a key for `algorithm`, one of `ALGORITHMS`."""
    if algorithm in _RSA:
        return _named(rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS))
    if algorithm in _CURVES:
        return _named(ec.generate_private_key(_CURVES[algorithm]()))
    return _named(ed25519.Ed25519PrivateKey.generate())


def read_key(path: Path) -> DevelopmentKey:
    """Return the key in a PEM file. Raises ConfigurationError where it cannot be used."""
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read `{path}`: {error.strerror}") from error
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # From None: the library's words may quote what is in the file.
        message = f"`{path}` must hold a private key in PEM form without a passphrase"
        raise ConfigurationError(message) from None
    if not isinstance(private, PrivateKey):
        raise ConfigurationError(f"`{path}` must hold an RSA, EC or Ed25519 key")
    return _named(private)


def _named(private: PrivateKey) -> DevelopmentKey:
    if isinstance(private, rsa.RSAPrivateKey):
        return DevelopmentKey(private, _RSA)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return DevelopmentKey(private, ("EdDSA",))
    for algorithm, curve in _CURVES.items():
        if isinstance(private.curve, curve):
            return DevelopmentKey(private, (algorithm,))
    raise ConfigurationError(f"curve `{private.curve.name}` is not used; expected P-256, P-384 or P-521")
