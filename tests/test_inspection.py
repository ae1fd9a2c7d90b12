import base64
import json

import pytest

from proxy.errors import RequestError
from proxy.inspection import bare, inspect, moment, relative, render
from proxy.model.decision import Reason

NOW = 1_000_000.0
GOOD = {"iss": "https://a.test", "sub": "me", "aud": "us", "iat": NOW - 60, "exp": NOW + 720}


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def token(claims: dict[str, object] | str, header: dict[str, object] | str = "") -> bytes:
    head = header or {"alg": "RS256", "typ": "JWT"}
    parts = (part if isinstance(part, str) else json.dumps(part) for part in (head, claims))
    return ".".join((*map(encoded, parts), "c2ln")).encode()


def refusals(unverified_token: bytes) -> list[str]:
    return [line for line in inspect(unverified_token, NOW).checks if line.startswith("no: ")]


def test_nothing_speaks_against_a_good_token() -> None:
    inspection = inspect(token(dict(GOOD)), NOW)
    assert not inspection.is_refused
    assert inspection.claims == GOOD
    assert inspection.signature_bytes == 3
    assert repr(inspection) == "<Inspection [5 claims]>"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW - 60}, Reason.TOKEN_EXPIRED),
        ({"nbf": NOW + 60}, Reason.TOKEN_NOT_YET_VALID),
        ({"iat": NOW + 60}, Reason.TOKEN_NOT_YET_VALID),
        ({"exp": "9999999999"}, Reason.CLAIMS_MALFORMED),
        ({"exp": True}, Reason.CLAIMS_MALFORMED),
        ({"sub": ""}, Reason.CLAIMS_MALFORMED),
        ({"aud": []}, Reason.CLAIMS_MALFORMED),
        ({"cnf": {"jkt": "x"}}, Reason.TOKEN_BOUND),
    ],
)
def test_claims_that_no_configuration_accepts(changes: dict[str, object], reason: Reason) -> None:
    (refusal,) = refusals(token(GOOD | changes))
    assert refusal.endswith(f"({reason})")


def test_a_certificate_that_a_token_is_bound_to_is_no_fault() -> None:
    bound = {"cnf": {"x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"}}
    checks = inspect(token(GOOD | bound), NOW).checks
    assert "ok: it is bound to a client certificate (`cnf`), which its bearer has to present" in checks


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none"}, Reason.ALGORITHM_REFUSED),
        ({"alg": "HS256"}, Reason.ALGORITHM_REFUSED),
        ({"alg": "RS256", "crit": ["x"]}, Reason.CRITICAL_HEADER),
        ({"alg": "RS256", "typ": "logout+jwt"}, Reason.TYPE_REFUSED),
    ],
)
def test_headers_that_no_configuration_accepts(header: dict[str, object], reason: Reason) -> None:
    (refusal,) = refusals(token(dict(GOOD), header))
    assert refusal.endswith(f"({reason})")


def test_claims_that_parsers_read_differently_are_shown_and_refused() -> None:
    doubled = json.dumps(GOOD).replace('"sub": "me"', '"sub": "you", "sub": "me"')
    assert any("named twice" in line for line in refusals(token(doubled)))


@pytest.mark.parametrize(
    ("unverified_token", "reason"),
    [
        (b"a.b", Reason.TOKEN_MALFORMED),
        (b"a.b.c.d.e", Reason.TOKEN_ENCRYPTED),
        (b"!.!.!", Reason.TOKEN_MALFORMED),
        (token("[1]"), Reason.TOKEN_MALFORMED),
        (token("[" * 5000), Reason.TOKEN_MALFORMED),
        (token("not json"), Reason.TOKEN_MALFORMED),
    ],
)
def test_what_is_no_token_is_bad_input(unverified_token: bytes, reason: Reason) -> None:
    with pytest.raises(RequestError) as caught:
        inspect(unverified_token, NOW)
    assert caught.value.reason is reason


def test_control_sequences_in_claims_do_not_reach_the_terminal() -> None:
    lines = list(render(inspect(token(GOOD | {"sub": "\x1b[2J", "\x9b\u202e": "x"}), NOW), NOW))
    assert all(line.isprintable() for line in lines)


def test_times_are_shown_for_people() -> None:
    text = "\n".join(render(inspect(token(dict(GOOD)), NOW), NOW))
    assert "1970-01-12 13:58:40 UTC, in 12 min" in text
    assert "60 s ago" in text
    assert "c2ln" not in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s ago"),
        (119, "in 119 s"),
        (120, "in 2 min"),
        (-7199, "119 min ago"),
        (7200, "in 2 h"),
        (-200_000, "2 d ago"),
    ],
)
def test_distance_in_words(seconds: float, words: str) -> None:
    assert relative(seconds) == words


def test_time_that_no_calendar_holds_is_left_out() -> None:
    assert moment(1e18, NOW) == ""


@pytest.mark.parametrize(
    "text", ["a.b.c", " a.b.c\n", "Bearer a.b.c", "bearer  a.b.c", "Authorization: Bearer a.b.c"]
)
def test_token_is_found_in_what_people_paste(text: str) -> None:
    assert bare(text) == b"a.b.c"


@pytest.mark.parametrize("text", ["", "Basic a.b.c", "a b c", "Bearer a Bearer b", "ä.b.c"])
def test_anything_but_one_token_is_refused(text: str) -> None:
    with pytest.raises(RequestError):
        bare(text)
