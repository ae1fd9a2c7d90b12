"""Keys, tokens and issuers for tests; every token is made from bytes, so that it can be wrong in any way."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt import PyJWS
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

from proxy.identify.claims import IdentityBuilder
from proxy.identify.interfaces import Claims, Refusal
from proxy.identify.issuers import ALGORITHMS, Issuer
from proxy.identify.jwt import Verified, verify
from proxy.identify.keyset import KeySet, read_key_set
from proxy.identify.profiles import PROFILES
from proxy.identify.signature import PublicKey
from proxy.model.decision import Reason
from proxy.model.identity import IdentityKind, RoleGrant

NOW = 1_790_000_000.0
URL = "https://idp.example.com"
AUDIENCE = "https://api.example.com"

Json = dict[str, Any]  # Any: tests put every kind of wrong value into it

JWS = PyJWS(algorithms=sorted(ALGORITHMS))

PRIVATE_KEYS: Mapping[str, Callable[[], Any]] = {  # Any: what the library generates
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}
KINDS = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}


@cache
def private_key(kind: str, number: int = 0) -> Any:  # Any: what the library generates
    """Return the key of that kind and number; made once, since RSA keys take long."""
    return PRIVATE_KEYS[kind]()


@dataclass(frozen=True)
class Signer:
    """Signs tokens with one key."""

    kid: str | None = "key-1"
    algorithm: str = "RS256"
    number: int = 0
    kind: str = ""

    @property
    def key(self) -> Any:  # Any: what the library generates
        return private_key(self.kind or KINDS.get(self.algorithm, "RSA"), self.number)

    def jwk(self, **more: object) -> Json:
        """Return the public key as its issuer publishes it."""
        public = self.key.public_key()
        writer: Any = RSAAlgorithm  # Any: three classes without a common type
        if isinstance(public, ec.EllipticCurvePublicKey):
            writer = ECAlgorithm
        elif not isinstance(public, rsa.RSAPublicKey):
            writer = OKPAlgorithm
        jwk: Json = {**writer.to_jwk(public, as_dict=True), "use": "sig", "alg": self.algorithm}
        jwk.pop("key_ops", None)
        if self.kid is not None:
            jwk["kid"] = self.kid
        return {**jwk, **more}

    def header(self, **changes: object) -> Json:
        header: Json = {"alg": self.algorithm, "typ": "JWT", "kid": self.kid, **changes}
        return {name: value for name, value in header.items() if value is not None}

    def sign_bytes(self, header: bytes, payload: bytes) -> bytes:
        """Return a token whose parts are exactly these bytes, properly signed."""
        signing_input = base64url_encode(header) + b"." + base64url_encode(payload)
        signature = JWS.get_algorithm_by_name(self.algorithm).sign(signing_input, self.key)
        return signing_input + b"." + base64url_encode(signature)

    def sign(self, claims: object, **header: object) -> bytes:
        return self.sign_bytes(as_json(self.header(**header)), as_json(claims))


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def good_claims(**changes: object) -> Json:
    """Return claims that verify at NOW, with changes; None removes a claim."""
    claims: Json = {
        "iss": URL,
        "sub": "service-7",
        "aud": AUDIENCE,
        "iat": int(NOW) - 10,
        "nbf": int(NOW) - 15,
        "exp": int(NOW) + 300,
        "jti": "3f1c",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def an_issuer(profile: str = "generic", **changes: Any) -> Issuer:  # Any: the fields of Issuer
    fields: Json = {
        "alias": "idp",
        "url": URL,
        "audiences": frozenset({AUDIENCE}),
        "profile": PROFILES[profile],
        **changes,
    }
    return Issuer(**fields)


def jwks(*keys: Json) -> bytes:
    return as_json({"keys": list(keys)})


def key_set(*signers: Signer, algorithms: frozenset[str] = ALGORITHMS) -> KeySet:
    return read_key_set(jwks(*(signer.jwk() for signer in signers)), algorithms)


@dataclass
class KnownKeys:
    """Keys that are simply there."""

    sets: dict[str, KeySet] = field(default_factory=dict)

    def find(self, alias: str, kid: str | None, algorithm: str) -> PublicKey | None:
        return self.sets[alias].find(kid, algorithm) if alias in self.sets else None

    def has_set(self, alias: str) -> bool:
        return alias in self.sets


@dataclass
class OneRole:
    """Gives everybody one role, and remembers what it was asked."""

    role: str = "reader"
    until: float = float("inf")
    asked: list[tuple[str, frozenset[str] | None, frozenset[str]]] = field(default_factory=list)

    def roles_of(
        self,
        issuer: str,
        claims: Claims,
        groups: frozenset[str] | None,
        must_name: frozenset[str],
        now: float,
    ) -> RoleGrant:
        self.asked.append((issuer, groups, must_name))
        return RoleGrant(frozenset({self.role}), self.until)


def header_lines(issuer: str, subject: str, roles: frozenset[str]) -> bytes:
    return f"X-Subject: {issuer} {subject!a} {sorted(roles)}\r\n".encode("ascii")


def audit_fields(issuer: str, subject: str, kind: IdentityKind, claims: Claims, roles: frozenset[str]) -> str:
    return json.dumps([issuer, subject, kind, dict(claims), sorted(roles)])


def a_builder(mapper: OneRole | None = None) -> IdentityBuilder:
    return IdentityBuilder(mapper or OneRole(), header_lines, audit_fields)


def verified(
    token: bytes, issuer: Issuer | None = None, *signers: Signer, now: float = NOW
) -> Verified | Refusal:
    issuer = issuer or an_issuer()
    keys = KnownKeys({issuer.alias: key_set(*(signers or (Signer(),)))})
    return verify(token, {issuer.url: issuer}, keys, now)


def reason_of(result: Verified | Refusal) -> Reason | None:
    return result.reason if isinstance(result, Refusal) else None


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
