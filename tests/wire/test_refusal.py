import json
import re

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.decision import Reason
from proxy.wire.refusal import NOT_REFUSALS, REFUSALS, Answer, refusal

REQUEST_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def received(answer: Answer, method: str = "GET") -> tuple[h11.Response, bytes]:
    """Return what an independent client makes of the answer."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(answer.data)
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert client.trailing_data[0] == b""
    return response, body


def refused(
    reason: Reason, detail: str = "", *, keep_alive: bool = True, has_credential: bool = True
) -> tuple[h11.Response, dict[str, object]]:
    answer = refusal(
        reason, REQUEST_ID, detail, keep_alive=keep_alive, method_is_head=False, has_credential=has_credential
    )
    response, body = received(answer)
    return response, json.loads(body)


def header(response: h11.Response, name: bytes) -> bytes | None:
    values = [value for key, value in response.headers if key == name]
    assert len(values) <= 1
    return values[0] if values else None


def test_every_reason_is_refused_in_its_way_or_is_no_refusal() -> None:
    assert set(REFUSALS) | NOT_REFUSALS == set(Reason)
    assert not set(REFUSALS) & NOT_REFUSALS


STATUSES = {
    400: """
        credential-malformed several-credentials malformed-request
        ambiguous-framing ambiguous-host ambiguous-path
    """,
    401: """
        credential-missing scheme-unsupported token-too-large token-malformed token-encrypted
        algorithm-refused type-refused critical-header issuer-unknown key-unknown signature-invalid
        claims-malformed token-expired token-not-yet-valid lifetime-exceeded audience-mismatch
        token-bound profile-refused
    """,
    403: "no-rule-matched denied-by-rule claim-missing",
    404: "no-route",
    408: "request-timeout",
    413: "body-too-large",
    414: "target-too-long",
    429: "rate-limited",
    431: "headers-too-large",
    500: "internal-error",
    501: "method-refused",
    502: "upstream-unreachable upstream-reset upstream-malformed",
    503: "keys-unavailable audit-unavailable shutting-down upstream-overloaded overloaded",
    504: "upstream-timeout",
    505: "version-unsupported",
}
BY_REASON = [(Reason(name), status) for status, names in STATUSES.items() for name in names.split()]


@pytest.mark.parametrize(("reason", "status"), BY_REASON)
def test_a_reason_has_its_status_and_its_document(reason: Reason, status: int) -> None:
    response, document = refused(reason)
    assert response.status_code == status
    assert header(response, b"content-type") == b"application/problem+json"
    assert header(response, b"cache-control") == b"no-store"
    assert header(response, b"x-request-id") == REQUEST_ID.encode()
    assert (header(response, b"retry-after") is not None) == (status == 503)
    assert document == {
        "type": reason.value,
        "title": REFUSALS[reason].title,
        "status": status,
        "reason": reason.value,
        "detail": REFUSALS[reason].advice,
        "request_id": REQUEST_ID,
    }


def test_the_table_of_statuses_is_whole() -> None:
    assert {reason for reason, _ in BY_REASON} == set(REFUSALS)


@pytest.mark.parametrize(("reason", "status"), BY_REASON)
def test_a_challenge_comes_with_every_401_and_with_a_credential_that_cannot_be_read(
    reason: Reason, status: int
) -> None:
    challenge = header(refused(reason)[0], b"www-authenticate")
    if status == 401:
        assert challenge is not None
        names_error = reason not in {Reason.CREDENTIAL_MISSING, Reason.SCHEME_UNSUPPORTED}
        assert (b'error="invalid_token"' in challenge) == names_error
    elif reason in {Reason.CREDENTIAL_MALFORMED, Reason.SEVERAL_CREDENTIALS}:
        assert challenge is not None
        assert b'error="invalid_request"' in challenge
    else:
        assert challenge is None


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_challenge_fits_the_grammar(reason: Reason) -> None:
    challenge = header(refused(reason)[0], b"www-authenticate")
    # RFC 6750 section 3: neither `"` nor `\` in an error description.
    pattern = rb'Bearer realm="rolegate"(, error="[a-z_]+", error_description="[ !#-\[\]-~]+")?'
    assert challenge is None or re.fullmatch(pattern, challenge) is not None


def test_without_a_credential_the_challenge_names_no_error() -> None:
    response, _ = refused(Reason.ISSUER_UNKNOWN, has_credential=False)
    assert header(response, b"www-authenticate") == b'Bearer realm="rolegate"'


def test_a_realm_cannot_leave_its_quotes() -> None:
    answer = refusal(
        Reason.CREDENTIAL_MISSING, REQUEST_ID, keep_alive=True, method_is_head=False, realm='a"b\\c'
    )
    assert b'WWW-Authenticate: Bearer realm="a\\"b\\\\c"\r\n' in answer.data


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_head_request_gets_the_same_head_and_no_body(reason: Reason) -> None:
    whole = refusal(reason, REQUEST_ID, keep_alive=False, method_is_head=False).data
    head = refusal(reason, REQUEST_ID, keep_alive=False, method_is_head=True)
    assert head.data == whole[: whole.index(b"\r\n\r\n") + 4]
    assert received(head, "HEAD")[1] == b""


@pytest.mark.parametrize("reason", REFUSALS)
def test_the_answer_says_whether_the_connection_stays_open(reason: Reason) -> None:
    for keep_alive in (True, False):
        answer = refusal(reason, REQUEST_ID, keep_alive=keep_alive, method_is_head=False)
        assert answer.keep_alive == (keep_alive and not REFUSALS[reason].ends_connection)
        assert (header(received(answer)[0], b"connection") == b"close") == (not answer.keep_alive)


@pytest.mark.parametrize(
    "reason",
    [
        Reason.AMBIGUOUS_FRAMING,
        Reason.MALFORMED_REQUEST,
        Reason.HEADERS_TOO_LARGE,
        Reason.BODY_TOO_LARGE,
        Reason.REQUEST_TIMEOUT,
    ],
)
def test_what_follows_an_unreadable_request_is_not_read_as_the_next_one(reason: Reason) -> None:
    assert not refusal(reason, REQUEST_ID, keep_alive=True, method_is_head=False).keep_alive


@pytest.mark.parametrize("reason", sorted(REFUSALS))
def test_the_sentences_are_sentences(reason: Reason) -> None:
    for sentence in (REFUSALS[reason].title, REFUSALS[reason].advice):
        assert 8 < len(sentence) < 110
        assert sentence[0].islower()
        assert not sentence.endswith(".")


@given(st.text(max_size=60))
def test_a_detail_stays_inside_its_member(detail: str) -> None:
    _, document = refused(Reason.AMBIGUOUS_PATH, detail)
    assert document["detail"] == (detail or REFUSALS[Reason.AMBIGUOUS_PATH].advice)


@pytest.mark.parametrize("reason", sorted(NOT_REFUSALS))
def test_what_is_no_refusal_cannot_be_sent_as_one(reason: Reason) -> None:
    with pytest.raises(KeyError):
        refusal(reason, REQUEST_ID, keep_alive=True, method_is_head=False)


@pytest.mark.parametrize("reason", [Reason.RATE_LIMITED, Reason.TOKEN_EXPIRED, Reason.MALFORMED_REQUEST])
@pytest.mark.parametrize("method_is_head", [False, True])
def test_lines_of_whoever_refuses_are_added(reason: Reason, method_is_head: bool) -> None:
    lines = b'Retry-After: 7\r\nRateLimit: "few";r=0;t=9\r\n'
    answer = refusal(reason, REQUEST_ID, keep_alive=True, method_is_head=method_is_head, lines=lines)
    response, _ = received(answer, "HEAD" if method_is_head else "GET")
    assert header(response, b"retry-after") == b"7"
    assert header(response, b"ratelimit") == b'"few";r=0;t=9'
    # And they stay with the one request that they are about.
    again = refusal(reason, REQUEST_ID, keep_alive=True, method_is_head=method_is_head)
    assert b"\r\nRetry-After" not in again.data


@pytest.mark.parametrize("request_id", ["a", "b" * 32, "c" * 200])
def test_the_length_is_right_whatever_the_request_id(request_id: str) -> None:
    answer = refusal(Reason.NO_ROUTE, request_id, keep_alive=True, method_is_head=False)
    response, body = received(answer)
    assert header(response, b"x-request-id") == request_id.encode()
    assert json.loads(body)["request_id"] == request_id
