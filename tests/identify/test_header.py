import pytest

from proxy.identify import header as header_module
from proxy.identify.header import MAX_HEADER_BYTES, Header, read_header
from proxy.identify.interfaces import Refusal
from proxy.identify.issuers import NEVER_A_CREDENTIAL
from proxy.identify.jwt import Verified
from proxy.model.decision import Reason
from tests.identify.tokens import (
    Json,
    Signer,
    as_json,
    b64,
    good_claims,
    reason_of,
    verified,
)

SIGNER = Signer()
MALFORMED = Reason.TOKEN_MALFORMED
CLAIMS = Reason.CLAIMS_MALFORMED


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"[]", MALFORMED),
        (b"null", MALFORMED),
        (b'{"alg":"RS256","kid":"key-1","alg":"RS256"}', MALFORMED),
        (b'{"alg":"RS256","kid":"key-1","kid":"key-1"}', MALFORMED),
        ('{"alg":"RS256","kid":"key-1"}'.encode("utf-16"), MALFORMED),
        (b'{"alg":"RS256","kid":1}', MALFORMED),
        (b'{"alg":"RS256","kid":null}', MALFORMED),
        (b'{"alg":"RS256","kid":["key-1"]}', MALFORMED),
        (as_json({"alg": "RS256", "kid": "k" * 256}), MALFORMED),
        (as_json({"alg": "RS256", "kid": "key-1", "x5c": ["A" * 4096]}), MALFORMED),
        (b'{"kid":"key-1"}', Reason.ALGORITHM_REFUSED),
        (b'{"alg":null,"kid":"key-1"}', Reason.ALGORITHM_REFUSED),
        (b'{"alg":["RS256"],"kid":"key-1"}', Reason.ALGORITHM_REFUSED),
        (b'{"alg":"none","kid":"key-1"}', Reason.ALGORITHM_REFUSED),
        (b'{"alg":"None","kid":"key-1"}', Reason.ALGORITHM_REFUSED),
        (b'{"alg":"HS256","kid":"key-1"}', Reason.ALGORITHM_REFUSED),
        (b'{"alg":"rs256","kid":"key-1"}', Reason.ALGORITHM_REFUSED),
        (b'{"alg":"RSA-OAEP","kid":"key-1"}', Reason.ALGORITHM_REFUSED),
        (b'{"alg":"RS512","kid":"key-1"}', Reason.ALGORITHM_REFUSED),  # asymmetric, not configured
        (b'{"alg":"RS256","kid":"key-1","crit":["exp"],"exp":1}', Reason.CRITICAL_HEADER),
        (b'{"alg":"RS256","kid":"key-1","crit":[]}', Reason.CRITICAL_HEADER),
        (b'{"alg":"RS256","kid":"key-1","crit":null}', Reason.CRITICAL_HEADER),
        (b'{"alg":"RS256","kid":"key-1","b64":false,"crit":["b64"]}', Reason.CRITICAL_HEADER),
        (b'{"alg":"RS256","kid":"key-1","b64":false}', Reason.CRITICAL_HEADER),
        (b'{"alg":"RS256","kid":"key-1","b64":"false"}', Reason.CRITICAL_HEADER),
        (b'{"alg":"RS256","kid":"other"}', Reason.KEY_UNKNOWN),
        (b'{"alg":"RS256","kid":""}', Reason.KEY_UNKNOWN),
        (b'{"alg":"RS256","kid":"../key-1"}', Reason.KEY_UNKNOWN),
    ],
)
def test_a_header_that_asks_for_more_than_a_known_key_is_refused(header: bytes, reason: Reason) -> None:
    assert reason_of(verified(SIGNER.sign_bytes(header, as_json(good_claims())))) is reason


@pytest.mark.parametrize(
    "members", [{"jku": "https://evil.example/keys"}, {"x5u": "https://evil.example/c"}, {"x5c": ["AA"]}]
)
def test_where_a_token_says_its_key_is_does_not_matter(members: Json) -> None:
    assert isinstance(verified(SIGNER.sign(good_claims(), **members)), Verified)


def test_a_key_that_a_token_brings_along_is_not_used() -> None:
    stranger = Signer(number=1)
    token = stranger.sign(good_claims(), jwk=stranger.jwk())
    assert reason_of(verified(token)) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(
    "typ",
    [
        "logout+jwt",
        "application/logout+jwt",
        "SECEVENT+JWT",
        "dpop+jwt",
        "oauth-id-jag+jwt",
        "global-token-revocation+jwt",
        "vc+sd-jwt",
        "example+sd-jwt",
        "kb+jwt",
        "JOSE",
        "id+jwt",
        "at+jwt; charset=utf-8",
        "application/application/jwt",
        "text/jwt",
        " jwt",
        1,
        True,
        ["JWT"],
    ],
)
def test_other_types_of_token_are_refused(typ: object) -> None:
    assert reason_of(verified(SIGNER.sign(good_claims(), typ=typ))) is Reason.TYPE_REFUSED


@pytest.mark.parametrize(
    "typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "APPLICATION/JWT", None, ""]
)
def test_types_are_compared_without_case_and_prefix(typ: str | None) -> None:
    assert isinstance(verified(SIGNER.sign(good_claims(), typ=typ)), Verified)


@pytest.mark.parametrize("typ", [*sorted(NEVER_A_CREDENTIAL), "application/Logout+JWT", "vc+sd-jwt"])
def test_what_is_never_a_credential_is_refused_whatever_an_issuer_accepts(typ: str) -> None:
    header = read_header(b64(as_json(SIGNER.header(typ=typ))))
    assert isinstance(header, Refusal)
    assert header.reason is Reason.TYPE_REFUSED


@pytest.mark.parametrize(("more", "is_read"), [(0, True), (1, False)])
def test_a_header_is_read_up_to_its_limit(more: int, is_read: bool) -> None:
    padding = MAX_HEADER_BYTES // 4 * 3 - len(as_json(SIGNER.header(x="")))
    header = b64(as_json(SIGNER.header(x="A" * padding)))
    assert len(header) == MAX_HEADER_BYTES
    assert isinstance(read_header(header + b"A" * more), Header) is is_read


def test_headers_that_are_remembered_are_bounded() -> None:
    for number in range(3 * header_module.MAX_KNOWN_HEADERS):
        segment = b64(as_json(SIGNER.header(kid=f"k{number}")))
        assert read_header(segment) == read_header(segment)
    assert len(header_module._known_headers) <= header_module.MAX_KNOWN_HEADERS


def test_what_is_refused_or_long_is_not_remembered() -> None:
    header_module._known_headers.clear()
    read_header(b64(as_json(SIGNER.header(alg="none"))))
    read_header(b64(as_json(SIGNER.header(more="x" * header_module.MAX_KNOWN_HEADER_BYTES))))
    assert header_module._known_headers == {}
