import string

import pytest

from proxy.errors import RequestError
from proxy.model.decision import Reason
from proxy.wire.bearer import find_credential

TOKEN = b"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl_-"


def refusal_of(*values: bytes) -> Reason:
    with pytest.raises(RequestError) as refused:
        find_credential(list(values))
    return refused.value.reason


def test_nothing_presented_is_no_credential() -> None:
    assert find_credential([]) is None


@pytest.mark.parametrize(
    "prefix", [b"Bearer ", b"bearer ", b"BEARER ", b"bEaReR ", b"Bearer   ", b" \tBearer "]
)
@pytest.mark.parametrize("suffix", [b"", b" ", b"\t "])
def test_a_token_is_found_behind_its_scheme(prefix: bytes, suffix: bytes) -> None:
    found = find_credential([prefix + TOKEN + suffix])
    assert found is not None
    assert found.unverified_token == TOKEN


@pytest.mark.parametrize("token", [b"a", b"a=", b"a==", b"-._~+/", b"a" * 16384])
def test_every_token68_is_a_token(token: bytes) -> None:
    found = find_credential([b"Bearer " + token])
    assert found is not None
    assert found.unverified_token == token


@pytest.mark.parametrize(
    "values",
    [
        (b"Bearer a", b"Bearer b"),
        (b"Bearer a", b"Bearer a"),
        (b"Basic YTpi", b"Bearer a"),
        (b"Bearer a", b""),
        (b"", b""),
        (b"Bearer a", b"DPoP b", b"Basic c"),
    ],
)
def test_two_credentials_are_never_chosen_from(values: tuple[bytes, ...]) -> None:
    assert refusal_of(*values) is Reason.SEVERAL_CREDENTIALS


@pytest.mark.parametrize(
    "value",
    [
        b"", b" ", b"Bearer", b"Bearer ", b"bearer   ", b"Bearer a b", b"Bearer a, Bearer b", b"Bearer a,b",
        b"Bearer =", b"Bearer ==",
        b"Bearer a=b", b"Bearer =a", b'Bearer "a"', b"Bearer a;b", b"Bearer a\tb", b"Bearer\ta",
        b"Bearer a%20", b"Bearer: a", b"=x", b", a",
        b"Bearer \xc3\xa9", b"Bearer a\0", b"Bearer a\r\nX: y", b"\xffBearer a", b"Bearer\xa0a",
        b"Bearer a\x0b",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(value: bytes) -> None:
    assert refusal_of(value) is Reason.CREDENTIAL_MALFORMED


def test_one_byte_outside_the_alphabet_spoils_a_token() -> None:
    alphabet = (string.ascii_letters + string.digits + "-._~+/").encode()
    for octet in range(256):
        value = b"Bearer " + TOKEN + b"%ca" % octet
        if octet in alphabet:
            assert find_credential([value]) is not None
        else:
            assert refusal_of(value) is Reason.CREDENTIAL_MALFORMED


@pytest.mark.parametrize(
    "value",
    [b"Basic YTpi", b"DPoP abc", b"Negotiate", b"Digest a=b, c=d", b"BearerX a", b"Bearertoken", b"X-Y_z! a"],
)
def test_another_scheme_is_refused_as_such(value: bytes) -> None:
    assert refusal_of(value) is Reason.SCHEME_UNSUPPORTED


def test_no_refusal_repeats_what_was_presented() -> None:
    for value in (b"Basic s3cret", b"Bearer s3cret,", b"s3cret"):
        with pytest.raises(RequestError) as refused:
            find_credential([value])
        assert "s3cret" not in f"{refused.value!r} {refused.value.detail}"
