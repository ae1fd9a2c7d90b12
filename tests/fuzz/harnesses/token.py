"""Bearer tokens: split, decoded, and refused with a reason; nothing of what was made up here verifies."""

from proxy.errors import RequestError
from proxy.identify.interfaces import Refusal
from proxy.identify.jwt import verify
from proxy.wire.bearer import find_credential
from tests.identify.tokens import NOW, KnownKeys, Signer, an_issuer, b64, key_set

ISSUER = an_issuer()
# An elliptic curve: its keys are made in no time.
KEYS = KnownKeys({ISSUER.alias: key_set(Signer(algorithm="ES256"))})


def check(data: bytes) -> None:
    """Read `data` as a token, as the three parts of one, and as an Authorization header."""
    for token in (data, b".".join(b64(part) for part in data.split(b"\n"))):
        result = verify(token, {ISSUER.url: ISSUER}, KEYS, NOW)
        assert isinstance(result, Refusal)
        assert all(ord(character) > 31 for character in result.detail)
    try:
        credential = find_credential([data])
    except RequestError:
        return
    assert credential is not None
    assert credential.unverified_token in data
    assert credential.unverified_token.split() == [credential.unverified_token]
