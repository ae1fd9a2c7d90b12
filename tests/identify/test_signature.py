import base64
import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws as joserfc_jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet as JoserfcKeySet

from proxy.identify.issuers import ALGORITHMS
from proxy.identify.jwt import Verified
from proxy.model.decision import Reason
from tests.identify.tokens import (
    Signer,
    an_issuer,
    as_json,
    b64,
    good_claims,
    jwks,
    reason_of,
    verified,
)

SIGNER = Signer()
MALFORMED = Reason.TOKEN_MALFORMED
CLAIMS = Reason.CLAIMS_MALFORMED


SIGNERS = [
    *(Signer(algorithm, algorithm) for algorithm in sorted(ALGORITHMS)),
    Signer("448", "EdDSA", 0, "Ed448"),
]


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: str(signer.kid))
def test_every_configured_algorithm_is_verified(signer: Signer) -> None:
    issuer = an_issuer(algorithms=ALGORITHMS)
    token = signer.sign(good_claims())
    assert isinstance(verified(token, issuer, signer), Verified)
    assert reason_of(verified(token[:-8] + b"AAAAAAAA", issuer, signer)) is Reason.SIGNATURE_INVALID


# joserfc warns that `EdDSA` gives way to `Ed25519` and `Ed448` (RFC 9864).
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: str(signer.kid))
def test_another_library_agrees_on_good_and_changed_tokens(signer: Signer) -> None:
    issuer = an_issuer(algorithms=ALGORITHMS)
    oracle = JoserfcKeySet.import_key_set(json.loads(jwks(signer.jwk())))
    token = signer.sign(good_claims())
    end_of_header, end_of_payload = token.index(b"."), token.rindex(b".")
    # One changed character at many places, and cuts around every part.
    places = [*range(end_of_payload + 1, len(token), 7), *range(end_of_header + 1, end_of_payload, 29)]
    changed = [token[:at] + (b"A" if token[at : at + 1] != b"A" else b"Q") + token[at + 1 :] for at in places]
    for candidate in [token, *changed, token[:-1], token[:-2], token + b"AAAA"]:
        try:
            joserfc_jws.deserialize_compact(candidate.decode(), oracle, algorithms=sorted(ALGORITHMS))
            is_good = True
        except (JoseError, ValueError):
            is_good = False
        ours = verified(candidate, issuer, signer)
        # The oracle is kinder to spelling; nothing that it refuses may pass here.
        assert isinstance(ours, Verified) <= is_good, candidate
        assert isinstance(ours, Verified) == (candidate == token)


def test_a_public_key_is_no_shared_secret() -> None:
    """The classic: HS256 with the RSA public key, which everybody has, as the secret."""
    secret = SIGNER.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signing_input = b64(b'{"alg":"HS256","kid":"key-1"}') + b"." + b64(as_json(good_claims()))
    signature = hmac.new(secret, signing_input, hashlib.sha256).digest()
    assert reason_of(verified(signing_input + b"." + b64(signature))) is Reason.ALGORITHM_REFUSED


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_an_ecdsa_signature_has_the_length_of_its_curve(algorithm: str) -> None:
    """DER, cut and padded forms of the right numbers are other spellings of a good signature."""
    signer = Signer(algorithm=algorithm)
    issuer = an_issuer(algorithms=ALGORITHMS)
    signing_input, _, last = signer.sign(good_claims()).rpartition(b".")
    raw = base64.urlsafe_b64decode(last + b"==")
    half = len(raw) // 2
    r, s = raw[:half], raw[half:]
    der = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
    for wrong in (der, b"\0" + r + b"\0" + s, raw + b"\0", raw[:-1], b"", bytes(len(raw)), b"\0" * half + s):
        assert (
            reason_of(verified(signing_input + b"." + b64(wrong), issuer, signer)) is Reason.SIGNATURE_INVALID
        )
