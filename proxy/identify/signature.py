"""
RFC 7518 and RFC 8037 signatures: the one place that asks the cryptographic library.

PyJWT supplies the algorithms; its parsing of tokens and keys is not used.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWS

from proxy.identify.issuers import ALGORITHMS

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

_JWS: Final = PyJWS(algorithms=sorted(ALGORITHMS))
_ALGORITHMS: Final = {name: _JWS.get_algorithm_by_name(name) for name in ALGORITHMS}


def is_signed_by(key: PublicKey, algorithm: str, signing_input: bytes, signature: bytes) -> bool:
    """
    Whether `signature` is the one that `key` makes with `algorithm` over `signing_input`.

    The caller has made sure that the key suits the algorithm (`keyset` files keys under it).
    """
    # An ECDSA signature has the raw length of its curve (RFC 7518, 3.4); PyJWT refuses any other.
    return _ALGORITHMS[algorithm].verify(signing_input, key, signature)
