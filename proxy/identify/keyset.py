"""
RFC 7517 key set: the public keys of one issuer, each filed under what it may verify.

Law: a key is found only by (kid, algorithm), so a token cannot use a key for an algorithm that
does not suit it. What we would not trust is left out with a reason; one bad key does not spoil
the others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from proxy.errors import IssuerError
from proxy.identify.header import shown
from proxy.identify.signature import PublicKey
from proxy.identify.strict import decode_base64url, decode_object

MAX_KEYS = 64

# Below 2048 bits RSA is within reach; above 16384, or with a huge exponent, one verification
# takes milliseconds, and anybody can make us verify.
RSA_BITS = range(2048, 16_384 + 1)
RSA_EXPONENT = range(3, 2**32)

# CVE-2017-15361 (ROCA): one maker's chips made primes of the form k*M + 65537**a mod M, which can be
# factored. Such a modulus is a power of 65537 modulo each small prime; another one is so by chance
# in one of 4 * 10**8 cases (the published fingerprint test).
ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
ROCA_POWERS = {prime: frozenset(pow(65537, power, prime) for power in range(prime)) for prime in ROCA_PRIMES}

RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
CURVES: Mapping[str, tuple[type[ec.EllipticCurve], int, str]] = {
    "P-256": (ec.SECP256R1, 32, "ES256"),
    "P-384": (ec.SECP384R1, 48, "ES384"),
    "P-521": (ec.SECP521R1, 66, "ES512"),
}

# d for RSA, EC and OKP; the others are the factors of RSA. k is a shared secret.
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

Jwk = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class KeySet:
    """
    The usable keys of one issuer, and why others were left out.

    `identity` names the content: two sets verify the same tokens if and only if it is equal.
    """

    by_name: Mapping[tuple[str, str], PublicKey]
    by_algorithm: Mapping[str, tuple[PublicKey, ...]]
    identity: frozenset[tuple[str | None, str, bytes]]
    dropped: tuple[str, ...] = ()

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """
        Return the key of that name for that algorithm.

        A token without `kid` finds a key only where exactly one suits: trying one after the
        other would let it choose, and would cost a verification for each.
        """
        if kid is not None:
            return self.by_name.get((kid, algorithm))
        suitable = self.by_algorithm.get(algorithm, ())
        return suitable[0] if len(suitable) == 1 else None

    def __len__(self) -> int:
        return len({key for keys in self.by_algorithm.values() for key in map(id, keys)})

    def __repr__(self) -> str:
        return f"<KeySet {len(self)} keys, {len(self.dropped)} left out>"


def read_key_set(document: bytes, algorithms: frozenset[str]) -> KeySet:
    """
    Return the keys of a JWK Set that serve one of `algorithms`.

    `{"keys": []}` is a set without keys: the issuer has revoked them all. Raises IssuerError for
    a document that is not a JWK Set, has too many keys, or has keys of which none is usable:
    that is a mistake of the issuer's, and a mistake must not pass for a revocation.
    """
    try:
        jwks = decode_object(document).get("keys")
    except ValueError as error:
        raise IssuerError(f"the key set is not readable: {error}") from error
    if not isinstance(jwks, list) or len(jwks) > MAX_KEYS:
        raise IssuerError(f"the key set must have a list `keys` of at most {MAX_KEYS}")
    found: list[_Candidate] = []
    dropped: list[str] = []
    for place, jwk in enumerate(jwks):
        name = shown(jwk["kid"]) if isinstance(jwk, dict) and "kid" in jwk else f"number {place}"
        try:
            found.append(_read(jwk, algorithms))
        except (ValueError, UnsupportedAlgorithm) as error:
            dropped.append(f"key {name}: {error}")
    key_set = _filed(found, dropped)
    if jwks and not key_set.by_algorithm:
        raise IssuerError("no key of the set is usable: " + "; ".join(key_set.dropped))
    return key_set


@dataclass(frozen=True, slots=True)
class _Candidate:
    kid: str | None
    algorithms: frozenset[str]
    key: PublicKey
    material: bytes


def _filed(found: Iterable[_Candidate], dropped: list[str]) -> KeySet:
    by_name: dict[tuple[str, str], _Candidate] = {}
    ambiguous: set[tuple[str, str]] = set()
    unnamed: list[tuple[str, _Candidate]] = []
    for candidate in found:
        for algorithm in sorted(candidate.algorithms):
            if candidate.kid is None:
                unnamed.append((algorithm, candidate))
                continue
            name = (candidate.kid, algorithm)
            other = by_name.setdefault(name, candidate)
            if other.material != candidate.material:
                ambiguous.add(name)
    # Two keys of one name: whichever we took, a token could have meant the other. Neither counts.
    for name in sorted(ambiguous):
        del by_name[name]
        dropped.append(f"key {shown(name[0])}: two different keys have this name for `{name[1]}`")
    by_algorithm: dict[str, tuple[PublicKey, ...]] = {}
    filed = [(algorithm, candidate) for (_, algorithm), candidate in by_name.items()] + unnamed
    for algorithm, candidate in filed:
        by_algorithm[algorithm] = (*by_algorithm.get(algorithm, ()), candidate.key)
    return KeySet(
        by_name={name: candidate.key for name, candidate in by_name.items()},
        by_algorithm=by_algorithm,
        identity=frozenset((candidate.kid, name, candidate.material) for name, candidate in filed),
        dropped=tuple(dropped),
    )


def _read(jwk: object, algorithms: frozenset[str]) -> _Candidate:
    """Return one key. Raises ValueError saying why it is not for us."""
    if not isinstance(jwk, dict):
        raise ValueError("not an object")
    kid = jwk.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise ValueError("`kid` must be text")
    if jwk.get("use", "sig") != "sig":
        raise ValueError(f"`use` must be `sig`, got {shown(jwk['use'])}")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("`key_ops` must allow `verify`")
    # A private key in public is no secret any more: anybody could sign with it.
    if not PRIVATE_MEMBERS.isdisjoint(jwk):
        raise ValueError("private key material was published")
    key, suitable, material = _public_key(jwk)
    if "alg" in jwk:
        suitable &= frozenset({str(jwk["alg"])})
    if not suitable & algorithms:
        raise ValueError("serves no algorithm that is configured")
    return _Candidate(kid, suitable & algorithms, key, material)


def _public_key(jwk: Jwk) -> tuple[PublicKey, frozenset[str], bytes]:
    kty = jwk.get("kty")
    if kty == "RSA":
        return _rsa(jwk)
    if kty == "EC":
        return _elliptic(jwk)
    if kty == "OKP":
        return _edwards(jwk)
    raise ValueError(f"`kty` must be `RSA`, `EC` or `OKP`, got {shown(kty)}")


def _rsa(jwk: Jwk) -> tuple[PublicKey, frozenset[str], bytes]:
    modulus, exponent = (int.from_bytes(_bytes(jwk, name)) for name in ("n", "e"))
    if modulus.bit_length() not in RSA_BITS:
        raise ValueError(f"an RSA key must have 2048 to 16384 bits, got {modulus.bit_length()}")
    if exponent not in RSA_EXPONENT or exponent % 2 == 0 or modulus % 2 == 0:
        raise ValueError("RSA modulus and exponent must be odd, the exponent from 3 to 32 bits")
    if all(modulus % prime in powers for prime, powers in ROCA_POWERS.items()):
        raise ValueError("an RSA key of this form can be factored (CVE-2017-15361)")
    return (
        rsa.RSAPublicNumbers(exponent, modulus).public_key(),
        RSA_ALGORITHMS,
        b"RSA %x %x" % (exponent, modulus),
    )


def _elliptic(jwk: Jwk) -> tuple[PublicKey, frozenset[str], bytes]:
    crv = jwk.get("crv")
    if not isinstance(crv, str) or crv not in CURVES:
        raise ValueError(f"`crv` must be `P-256`, `P-384` or `P-521`, got {shown(crv)}")
    curve, octets, algorithm = CURVES[crv]
    x, y = _bytes(jwk, "x"), _bytes(jwk, "y")
    # Full length is demanded by RFC 7518, 6.2.1.2; the library checks that the point is on the curve.
    if len(x) != octets or len(y) != octets:
        raise ValueError(f"the coordinates on `{crv}` must have {octets} bytes")
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve())
    return numbers.public_key(), frozenset({algorithm}), crv.encode() + x + y


def _edwards(jwk: Jwk) -> tuple[PublicKey, frozenset[str], bytes]:
    crv, x = jwk.get("crv"), _bytes(jwk, "x")
    if crv == "Ed25519":
        return Ed25519PublicKey.from_public_bytes(x), frozenset({"EdDSA"}), b"Ed25519" + x
    if crv == "Ed448":
        return Ed448PublicKey.from_public_bytes(x), frozenset({"EdDSA"}), b"Ed448" + x
    raise ValueError(f"`crv` must be `Ed25519` or `Ed448`, got {shown(crv)}")


def _bytes(jwk: Jwk, name: str) -> bytes:
    text = jwk.get(name)
    if not isinstance(text, str):
        raise ValueError(f"`{name}` must be text")
    try:
        return decode_base64url(text.encode("ascii"))
    except ValueError as error:
        raise ValueError(f"`{name}` is not base64url") from error
