import json
import math

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

from proxy.errors import IssuerError
from proxy.identify.issuers import ALGORITHMS, DEFAULT_ALGORITHMS
from proxy.identify.keyset import MAX_KEYS, ROCA_PRIMES, read_key_set
from tests.identify.tokens import Json, Signer, as_json, jwks, key_set

GOOD = Signer("good", "ES256")


def jwk_of(signer: Signer, *without: str, **changes: object) -> Json:
    return {name: value for name, value in signer.jwk(**changes).items() if name not in without}


def number(value: int) -> str:
    return base64url_encode(value.to_bytes((value.bit_length() + 7) // 8)).decode()


def weak_modulus() -> int:
    """Return a modulus that looks like those of CVE-2017-15361."""
    product = math.prod(ROCA_PRIMES)
    modulus = pow(65537, 12345, product) + product * (2**2047 // product + 1)
    return modulus if modulus % 2 else modulus + product


def small_rsa() -> Json:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - too small is the point
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k"}


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_a_key_is_found_by_its_name_and_algorithm(algorithm: str) -> None:
    keys = key_set(Signer("k", algorithm))
    assert keys.find("k", algorithm) is not None
    assert keys.find(None, algorithm) is not None
    assert keys.find("other", algorithm) is None
    assert [name for name in ALGORITHMS if keys.find("k", name) is not None] == [algorithm]
    assert len(keys) == 1


def test_a_key_without_alg_serves_what_suits_it_and_is_configured() -> None:
    rsa_key, ec_key = jwk_of(Signer("r"), "alg"), jwk_of(Signer("e", "ES384"), "alg")
    keys = read_key_set(jwks(rsa_key, ec_key), frozenset({"RS256", "PS512", "ES384", "ES256"}))
    assert sorted(keys.by_name) == [("e", "ES384"), ("r", "PS512"), ("r", "RS256")]
    assert keys.find("r", "RS256") is keys.find("r", "PS512")
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("jwk", "cause"),
    [
        ("text", "not an object"),
        (None, "not an object"),
        ({}, "`kty`"),
        ({"kty": "oct", "k": "c2VjcmV0", "kid": "k"}, "private"),
        ({"kty": "oct", "kid": "k"}, "`kty`"),
        ({"kty": "AKP", "kid": "k"}, "`kty`"),
        (jwk_of(Signer("k"), use="enc"), "`use`"),
        (jwk_of(Signer("k"), use=None), "`use`"),
        (jwk_of(Signer("k"), use=["sig"]), "`use`"),
        (jwk_of(Signer("k"), key_ops=["sign"]), "`key_ops`"),
        (jwk_of(Signer("k"), key_ops="verify"), "`key_ops`"),
        (jwk_of(Signer("k"), kid=7), "`kid`"),
        (jwk_of(Signer("k"), alg="RS999"), "no algorithm"),
        (jwk_of(Signer("k"), alg="HS256"), "no algorithm"),
        (jwk_of(Signer("k"), alg="RSA-OAEP"), "no algorithm"),
        (jwk_of(Signer("k"), alg="ES256"), "no algorithm"),
        (jwk_of(Signer("k"), alg=["RS256"]), "no algorithm"),
        (small_rsa(), "2048"),
        (jwk_of(Signer("k"), n=number(2**16384 + 1)), "16384"),
        (jwk_of(Signer("k"), n=number(2**2047)), "odd"),
        (jwk_of(Signer("k"), n=number(weak_modulus())), "factored"),
        (jwk_of(Signer("k"), e=number(1)), "odd"),
        (jwk_of(Signer("k"), e=number(65536)), "odd"),
        (jwk_of(Signer("k"), e=number(2**64 + 1)), "odd"),
        (jwk_of(Signer("k"), "e"), "`e` must be text"),
        (jwk_of(Signer("k"), n=5), "`n` must be text"),
        (jwk_of(Signer("k"), n="+/8="), "`n` is not base64url"),
        (jwk_of(Signer("k"), n="é"), "`n` is not base64url"),
        (jwk_of(Signer("k", "ES256"), alg="ES384"), "no algorithm"),
        (jwk_of(Signer("k", "ES256"), crv="P-384"), "48 bytes"),
        (jwk_of(Signer("k", "ES256"), crv="secp256k1"), "`crv`"),
        (jwk_of(Signer("k", "ES256"), "crv"), "`crv`"),
        (jwk_of(Signer("k", "ES256"), crv=["P-256"]), "`crv`"),
        (jwk_of(Signer("k", "ES256"), y=base64url_encode(bytes(32)).decode()), "."),  # not on the curve
        (jwk_of(Signer("k", "ES256"), x="AA"), "32 bytes"),
        (jwk_of(Signer("k", "EdDSA"), crv="X25519"), "`crv`"),
        (jwk_of(Signer("k", "EdDSA"), crv="Ed448"), "."),
        (jwk_of(Signer("k", "EdDSA"), x="AA"), "."),
    ],
)
def test_a_key_that_cannot_be_trusted_is_left_out_with_a_reason(jwk: object, cause: str) -> None:
    document = as_json({"keys": [jwk, GOOD.jwk()]})
    keys = read_key_set(document, ALGORITHMS)
    assert sorted(keys.by_name) == [("good", "ES256")]
    assert len(keys.dropped) == 1
    assert cause in keys.dropped[0] or cause == "."


@pytest.mark.parametrize(
    ("signer", "writer"),
    [
        (Signer("k"), RSAAlgorithm),
        (Signer("k", "ES256"), ECAlgorithm),
        (Signer("k", "EdDSA"), OKPAlgorithm),
    ],
)
def test_a_key_whose_private_half_was_published_is_left_out(
    signer: Signer, writer: type[RSAAlgorithm | ECAlgorithm | OKPAlgorithm]
) -> None:
    private = {**writer.to_jwk(signer.key, as_dict=True), "kid": "k"}
    private.pop("key_ops", None)
    keys = read_key_set(as_json({"keys": [private, GOOD.jwk()]}), ALGORITHMS)
    assert sorted(keys.by_name) == [("good", "ES256")]
    assert "private" in keys.dropped[0]
    assert str(private["d"]) not in keys.dropped[0]


@pytest.mark.parametrize(("bits", "is_used"), [(2047, False), (2048, True), (16_384, True), (16_385, False)])
def test_an_rsa_key_has_2048_to_16384_bits(bits: int, is_used: bool) -> None:
    keys = read_key_set(jwks(jwk_of(Signer("k"), n=number(2**bits - 1)), GOOD.jwk()), ALGORITHMS)
    assert (keys.find("k", "RS256") is not None) is is_used


def test_a_set_has_up_to_64_keys() -> None:
    assert len(key_set(*(Signer(f"k{place}", "ES256") for place in range(MAX_KEYS)))) == MAX_KEYS


def test_two_keys_of_one_name_are_both_left_out() -> None:
    keys = key_set(Signer("k"), Signer("k", number=1), Signer("good"))
    assert sorted(keys.by_name) == [("good", "RS256")]
    assert keys.find("k", "RS256") is None
    assert "two different keys" in keys.dropped[0]


def test_one_name_for_keys_of_different_algorithms_is_not_ambiguous() -> None:
    keys = key_set(Signer("k"), Signer("k", "ES256"))
    assert sorted(keys.by_name) == [("k", "ES256"), ("k", "RS256")]


def test_the_same_key_twice_is_one_key() -> None:
    keys = key_set(Signer("k"), Signer("k"))
    assert (len(keys), keys.dropped) == (1, ())
    assert keys.find(None, "RS256") is not None


def test_without_a_name_a_key_is_found_only_if_it_is_the_only_one_that_suits() -> None:
    assert key_set(Signer("a"), Signer("b", number=1)).find(None, "RS256") is None
    assert key_set(Signer("a"), Signer("b", "ES256")).find(None, "RS256") is not None
    assert key_set(Signer(None)).find("a", "RS256") is None


def test_an_empty_set_is_a_set() -> None:
    keys = read_key_set(b'{"keys": []}', ALGORITHMS)
    assert (len(keys), keys.dropped) == (0, ())


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys": null}',
        b'{"keys": {}}',
        b'{"keys": [], "keys": []}',
        b'{"keys": [1]}',
        b'{"keys": [{}]}',
        b"\xef\xbb\xbf" + b'{"keys": []}',
        as_json({"keys": [jwk_of(GOOD, use="enc")]}),
        as_json({"keys": [Signer("k").jwk(), Signer("k", number=1).jwk()]}),
        as_json({"keys": [GOOD.jwk()] * (MAX_KEYS + 1)}),
    ],
)
def test_a_document_without_one_usable_key_is_an_error_and_not_an_empty_set(document: bytes) -> None:
    with pytest.raises(IssuerError):
        read_key_set(document, ALGORITHMS)


def test_a_set_of_keys_for_other_algorithms_is_an_error() -> None:
    with pytest.raises(IssuerError, match="no key of the set is usable"):
        key_set(Signer("k", "ES512"), algorithms=DEFAULT_ALGORITHMS)


def test_sets_are_the_same_if_they_verify_the_same() -> None:
    one, two = Signer("a"), Signer("b", "ES256")
    assert key_set(one, two).identity == key_set(two, one).identity
    assert key_set(one).identity == read_key_set(jwks(one.jwk(x5t="AA")), ALGORITHMS).identity
    assert key_set(one).identity != key_set(one, two).identity
    assert key_set(Signer("a")).identity != key_set(Signer("b")).identity
    assert key_set(Signer("a")).identity != key_set(Signer("a", number=1)).identity
    assert key_set(Signer("a")).identity != key_set(Signer("a", "RS512")).identity


def test_a_key_set_shows_how_many_keys_it_has_and_no_key() -> None:
    keys = read_key_set(json.dumps({"keys": [GOOD.jwk(), {}]}).encode(), ALGORITHMS)
    assert repr(keys) == "<KeySet 1 keys, 1 left out>"
