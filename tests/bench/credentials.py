"""The token that every contestant gets to verify: a GitLab job token of 1.4 KB, signed with RS256."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.kit.issuer import GITLAB_CLAIMS

ISSUER = "https://gitlab.example.com"
AUDIENCE = "https://api.example.com"
PROJECT = "42"
KEY_ID = "4i3sFE7sxqNPOT7FdvcGA1ZVGGI_r-tsDXnEuYT4ZqE"
LIFETIME_S = 7200

# A job without an environment, of a GitLab that does not send the newest claims yet.
LEFT_OUT = {
    *("environment", "environment_protected", "deployment_tier", "environment_action"),
    *("ci_config_ref_uri", "ci_config_sha"),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the contestants verify with, and what the load presents to them."""

    good: str
    forged: str
    expired: str
    unauthorized: str
    public_key_pem: str
    jwks: str
    key: RSAPrivateKey = field(repr=False)

    def cold(self, count: int) -> list[str]:
        """Return `count` good tokens, each of a job of its own, so that no cache knows it."""
        # Signing waits for no lock of the interpreter's: two threads use two cores.
        with ThreadPoolExecutor(max_workers=2) as pool:
            return list(pool.map(lambda _: sign(self.key, jti=str(uuid4())), range(count)))


def make_credentials() -> Credentials:
    """Return a good token and the bad ones: by somebody else, from before, of another project."""
    key, stranger = (generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    return Credentials(
        good=sign(key),
        forged=sign(stranger),
        expired=sign(key, exp=int(time.time()) - 3600),
        unauthorized=sign(key, project_id="4242"),
        public_key_pem=_pem(key),
        jwks=json.dumps({"keys": [_jwk(key)]}),
        key=key,
    )


def sign(key: RSAPrivateKey, **claims: object) -> str:
    """Return a job token with `claims` laid over those of GitLab."""
    now = int(time.time())
    registered: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "nbf": now - 5,
        "exp": now + LIFETIME_S,
        "jti": "6f0d7f1e-2f5b-4b1e-9a51-0f8f0c1a7b55",
    }
    job = {name: value for name, value in GITLAB_CLAIMS.items() if name not in LEFT_OUT}
    payload = {**registered, **job, "project_id": PROJECT, **claims}
    return jwt.encode(payload, key, algorithm="RS256", headers={"kid": KEY_ID})


def _pem(key: RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _jwk(key: RSAPrivateKey) -> dict[str, object]:
    parameters = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {
        "kty": "RSA",
        "n": parameters["n"],
        "e": parameters["e"],
        "kid": KEY_ID,
        "use": "sig",
        "alg": "RS256",
    }
