import json
from collections.abc import Callable

import pytest

from proxy.identify.interfaces import Refusal
from proxy.identify.issuers import ALGORITHMS
from proxy.identify.jwt import CHECKS, Verified, explain, verify
from proxy.model.decision import Reason
from tests.identify.tokens import (
    NOW,
    URL,
    KnownKeys,
    Signer,
    an_issuer,
    as_json,
    b64,
    good_claims,
    key_set,
    reason_of,
    verified,
)

SIGNER = Signer()
MALFORMED = Reason.TOKEN_MALFORMED
CLAIMS = Reason.CLAIMS_MALFORMED


def test_a_good_token_gives_its_claims_and_its_issuer() -> None:
    issuer = an_issuer()
    result = verified(SIGNER.sign(good_claims()), issuer)
    assert isinstance(result, Verified)
    assert result.claims == good_claims()
    assert result.issuer is issuer


def changed_part(number: int, change: Callable[[bytes], bytes]) -> bytes:
    parts = SIGNER.sign(good_claims()).split(b".")
    parts[number] = change(parts[number])
    return b".".join(parts)


GOOD = SIGNER.sign(good_claims())


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (b"", MALFORMED),
        (b".", MALFORMED),
        (b"..", MALFORMED),
        (b"opaque-token", MALFORMED),
        (GOOD.rpartition(b".")[0], MALFORMED),
        (GOOD + b".", MALFORMED),
        (b"." + GOOD, MALFORMED),
        (GOOD + b".x.y", Reason.TOKEN_ENCRYPTED),
        (GOOD + b".x.y.z", MALFORMED),
        (GOOD + b"=", MALFORMED),
        (GOOD + b"\n", MALFORMED),
        (b" " + GOOD, MALFORMED),
        (changed_part(0, lambda part: part + b"="), MALFORMED),
        (changed_part(1, lambda part: part + b"="), MALFORMED),
        (changed_part(0, lambda part: b""), MALFORMED),
        (changed_part(1, lambda part: b""), Reason.CLAIMS_MALFORMED),
        (changed_part(1, lambda part: b64(b"[" * 9000)), Reason.CLAIMS_MALFORMED),
        (changed_part(1, lambda part: b64(b'{"iss": "\xff"}')), Reason.CLAIMS_MALFORMED),
        (changed_part(2, lambda part: b""), Reason.SIGNATURE_INVALID),
        (changed_part(2, lambda part: part[:-2]), Reason.SIGNATURE_INVALID),
        (changed_part(2, lambda part: part + b"AAAA"), Reason.SIGNATURE_INVALID),
        (changed_part(1, lambda part: b64(as_json(good_claims(sub="root")))), Reason.SIGNATURE_INVALID),
        (changed_part(0, lambda part: part.replace(b"J", b"+")), MALFORMED),
        (b"\xff.\xff.\xff", MALFORMED),
    ],
)
def test_a_token_that_is_not_whole_is_refused(token: bytes, reason: Reason) -> None:
    assert reason_of(verified(token)) is reason


@pytest.mark.parametrize(
    ("welcome", "typ", "is_welcome"),
    [
        ({"at+jwt"}, "JWT", False),
        ({"at+jwt"}, None, False),
        ({"AT+JWT"}, "at+jwt", True),
        ({""}, None, True),
        ({""}, "JWT", False),
    ],
)
def test_an_issuer_can_narrow_the_types(welcome: set[str], typ: str | None, is_welcome: bool) -> None:
    result = verified(SIGNER.sign(good_claims(), typ=typ), an_issuer(types=frozenset(welcome)))
    assert reason_of(result) is (None if is_welcome else Reason.TYPE_REFUSED)


@pytest.mark.parametrize(
    "claimed",
    [URL + "/", URL.upper(), "http://idp.example.com", URL + ":443", "idp", "", URL + "\u200b", " " + URL],
)
def test_an_issuer_is_compared_exactly(claimed: str) -> None:
    result = verified(SIGNER.sign(good_claims(iss=claimed)))
    assert isinstance(result, Refusal)
    assert result.reason is Reason.ISSUER_UNKNOWN
    assert result.issuer is None


def test_a_key_of_one_issuer_signs_nothing_for_another() -> None:
    """Two issuers with the same kid: each token is verified by its own issuer's key."""
    mine, theirs = an_issuer(), an_issuer(alias="other", url="https://other.example.com")
    keys = KnownKeys({"idp": key_set(Signer()), "other": key_set(Signer(number=1))})
    issuers = {mine.url: mine, theirs.url: theirs}
    forged = Signer(number=1).sign(good_claims())
    assert reason_of(verify(forged, issuers, keys, NOW)) is Reason.SIGNATURE_INVALID
    honest = Signer(number=1).sign(good_claims(iss=theirs.url))
    result = verify(honest, issuers, keys, NOW)
    assert isinstance(result, Verified)
    assert result.issuer is theirs


def test_without_any_keys_the_answer_is_that_they_are_missing() -> None:
    issuer = an_issuer()
    result = verify(GOOD, {URL: issuer}, KnownKeys(), NOW)
    assert isinstance(result, Refusal)
    assert (result.reason, result.issuer) == (Reason.KEYS_UNAVAILABLE, "idp")


def test_without_any_issuer_every_token_is_too_long() -> None:
    assert reason_of(verify(GOOD, {}, KnownKeys(), NOW)) is Reason.TOKEN_TOO_LARGE


@pytest.mark.parametrize(("more", "reason"), [(0, None), (-1, Reason.TOKEN_TOO_LARGE)])
def test_length_is_limited_for_each_issuer(more: int, reason: Reason | None) -> None:
    small = an_issuer(max_token_bytes=len(GOOD) + more)
    large = an_issuer(alias="large", url="https://large.example.com")
    keys = KnownKeys({"idp": key_set(SIGNER), "large": key_set(SIGNER)})
    assert reason_of(verify(GOOD, {small.url: small, large.url: large}, keys, NOW)) is reason
    assert reason_of(verify(GOOD, {small.url: small}, keys, NOW)) is reason
    longer = SIGNER.sign(good_claims(iss=large.url, x="x" * 500))
    assert isinstance(verify(longer, {small.url: small, large.url: large}, keys, NOW), Verified)


@pytest.mark.parametrize(
    ("signers", "is_good"),
    [((Signer(None),), True), ((Signer("a"),), True), ((Signer("a"), Signer("b", number=1)), False)],
)
def test_a_token_without_kid_needs_a_set_with_one_suitable_key(
    signers: tuple[Signer, ...], is_good: bool
) -> None:
    result = verified(Signer(None).sign(good_claims()), None, *signers)
    assert reason_of(result) is (None if is_good else Reason.KEY_UNKNOWN)


@pytest.mark.parametrize(
    ("signer", "algorithm"),
    [
        (Signer(), "PS256"),
        (Signer(), "ES256"),
        (Signer(algorithm="ES256"), "RS256"),
        (Signer(algorithm="ES384"), "ES256"),
    ],
)
def test_a_key_serves_only_the_algorithm_it_was_published_for(signer: Signer, algorithm: str) -> None:
    token = signer.sign(good_claims(), alg=algorithm)
    assert reason_of(verified(token, an_issuer(algorithms=ALGORITHMS), signer)) is Reason.KEY_UNKNOWN


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b'"text"',
        as_json(good_claims())[:-1] + b', "aud": "https://evil.example"}',
        as_json(good_claims())[:-1] + b', "iss": "https://idp.example.com"}',
        as_json(good_claims())[:-1] + b', "\\u0069ss": "https://idp.example.com"}',
        as_json(good_claims())[:-1] + b', "iss": null}',
        b'{"iss": "https://evil.example",' + as_json(good_claims())[1:],
        as_json(good_claims())[:-1] + b', "x": "\xff"}',
        as_json(good_claims())[:-1] + b', "x": {"a": 1, "a": 2}}',
        as_json(good_claims(exp=None))[:-1] + b', "exp": NaN}',
        as_json(good_claims(exp=None))[:-1] + b', "exp": Infinity}',
        as_json(good_claims(exp=None))[:-1] + b', "exp": 1e999}',
        as_json(good_claims(exp=None))[:-1] + b', "exp": ' + b"9" * 400 + b"}",
        as_json(good_claims())[:-1] + b', "x": "\\ud800"}',
        as_json(good_claims())[:-1] + b', "x": ' + b"[" * 40 + b"]" * 40 + b"}",
        json.dumps(good_claims()).encode("utf-16"),
        b"\xef\xbb\xbf" + as_json(good_claims()),
    ],
)
def test_claims_that_can_be_read_in_two_ways_are_refused(payload: bytes) -> None:
    token = SIGNER.sign_bytes(as_json(SIGNER.header()), payload)
    assert reason_of(verified(token)) is CLAIMS


def test_the_explanation_runs_the_checks_of_verify_and_stops_where_it_does() -> None:
    issuer = an_issuer()
    keys = KnownKeys({"idp": key_set(SIGNER)})
    good = list(explain(GOOD, {URL: issuer}, keys, NOW))
    assert [promise for promise, _ in good[:-1]] == [promise for promise, _ in CHECKS]
    assert isinstance(good[-1][1], Verified)
    expired = list(explain(GOOD, {URL: issuer}, keys, NOW + 9999))
    assert [outcome for _, outcome in expired[:-1]] == [None] * (len(expired) - 1)
    assert expired[-1][1] == verify(GOOD, {URL: issuer}, keys, NOW + 9999)
    assert isinstance(expired[-1][1], Refusal)


@pytest.mark.parametrize("exp", [NOW - 31, NOW - 31.5, 0, -1, -1e300])
def test_what_has_expired_by_its_own_words_needs_neither_key_nor_signature(exp: float) -> None:
    token = Signer("nobody knows it").sign(good_claims(exp=exp))[:-4] + b"AAAA"
    assert reason_of(verified(token)) is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize(
    "exp", [NOW - 29, NOW + 100, "1", None, [1], {"a": 1}, True, 10**400, 1e300, "9" * 10_000]
)
def test_words_that_nobody_signed_never_make_a_token_good(exp: object) -> None:
    """Whatever `exp` looks like: it was looked at, and the next check has the word."""
    token = Signer("nobody knows it").sign(good_claims(exp=exp))
    assert reason_of(verified(token)) is Reason.KEY_UNKNOWN
