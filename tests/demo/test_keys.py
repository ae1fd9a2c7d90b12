import json
import stat
from pathlib import Path

import pytest
from joserfc import jwk

from proxy.demo.keys import ALGORITHMS, new_key, read_key
from proxy.errors import ConfigurationError
from proxy.identify.keyset import read_key_set
from proxy.identify.strict import decode_base64url, decode_object


@pytest.mark.parametrize("algorithm", ["RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"])
def test_signature_holds_under_the_published_key(algorithm: str) -> None:
    from proxy.identify.signature import is_signed_by

    key = new_key(algorithm)
    token = key.sign({"sub": "somebody"}, algorithm, "JWT")
    head, payload, signature = token.encode().split(b".")
    published = read_key_set(json.dumps(key.jwks()).encode(), frozenset({algorithm}))
    public = published.find(key.kid, algorithm)
    assert public is not None
    assert is_signed_by(public, algorithm, head + b"." + payload, decode_base64url(signature))
    assert decode_object(decode_base64url(head)) == {"alg": algorithm, "kid": key.kid, "typ": "JWT"}


def test_every_algorithm_that_can_be_configured_can_be_signed_with() -> None:
    from proxy.identify.issuers import ALGORITHMS as ACCEPTED

    assert set(ALGORITHMS) == ACCEPTED


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_name_of_a_key_is_its_thumbprint(algorithm: str) -> None:
    key = new_key(algorithm)
    assert key.kid == jwk.import_key({**key.public_jwk()}).thumbprint()


@pytest.mark.parametrize("algorithm", ["RS256", "ES384", "EdDSA"])
def test_nothing_private_is_published(algorithm: str) -> None:
    (published,) = json.loads(json.dumps(new_key(algorithm).jwks()))["keys"]
    assert {"d", "p", "q", "dp", "dq", "qi", "k"}.isdisjoint(published)


def test_empty_type_leaves_the_header_out() -> None:
    token = new_key("EdDSA").sign({}, "EdDSA", "")
    assert "typ" not in decode_object(decode_base64url(token.split(".")[0].encode()))


def test_file_is_for_its_owner_and_holds_the_same_key(tmp_path: Path) -> None:
    key, path = new_key("ES256"), tmp_path / "dev.pem"
    key.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path).kid == key.kid


def test_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "dev.pem"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="is not written over"):
        new_key("EdDSA").write(path)
    assert path.read_text() == "precious"


def test_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot write"):
        new_key("EdDSA").write(tmp_path / "nope" / "dev.pem")


def test_file_that_is_no_key_is_refused_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "dev.pem"
    path.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    with pytest.raises(ConfigurationError, match="private key in PEM form") as caught:
        read_key(path)
    assert "c2VjcmV0" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_key(tmp_path / "nope.pem")


@pytest.mark.parametrize("kind", ["x25519", "secp256k1"])
def test_key_that_signs_nothing_we_accept_is_refused(kind: str, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, x25519
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = (
        x25519.X25519PrivateKey.generate() if kind == "x25519" else ec.generate_private_key(ec.SECP256K1())
    )
    path = tmp_path / "dev.pem"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigurationError):
        read_key(path)


def test_repr_shows_the_name_alone() -> None:
    key = new_key("EdDSA")
    assert repr(key) == f"<DevelopmentKey {key.kid}>"
