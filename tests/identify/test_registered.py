import pytest

from proxy.model.decision import Reason
from tests.identify.tokens import (
    AUDIENCE,
    NOW,
    URL,
    Json,
    Signer,
    an_issuer,
    good_claims,
    reason_of,
    verified,
)

SIGNER = Signer()


CLAIMS = Reason.CLAIMS_MALFORMED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": None}, CLAIMS),
        ({"iss": [URL]}, CLAIMS),
        ({"iss": 1}, CLAIMS),
        ({"exp": None}, CLAIMS),
        ({"exp": str(int(NOW) + 300)}, CLAIMS),
        ({"exp": True}, CLAIMS),
        ({"exp": [int(NOW) + 300]}, CLAIMS),
        ({"iat": None}, CLAIMS),
        ({"iat": "1790000000"}, CLAIMS),
        ({"iat": False}, CLAIMS),
        ({"nbf": "1790000000"}, CLAIMS),
        ({"nbf": True}, CLAIMS),
        ({"nbf": {}}, CLAIMS),
        ({"nbf": None}, None),
        ({"sub": None}, CLAIMS),
        ({"sub": ""}, CLAIMS),
        ({"sub": 7}, CLAIMS),
        ({"sub": ["a"]}, CLAIMS),
        ({"sub": "s" * 255}, None),
        ({"sub": "s" * 256}, CLAIMS),
        ({"aud": None}, CLAIMS),
        ({"aud": ""}, CLAIMS),
        ({"aud": []}, CLAIMS),
        ({"aud": [AUDIENCE, 1]}, CLAIMS),
        ({"aud": [AUDIENCE, None]}, CLAIMS),
        ({"aud": [AUDIENCE, ""]}, CLAIMS),
        ({"aud": [[AUDIENCE]]}, CLAIMS),
        ({"aud": {"a": 1}}, CLAIMS),
        ({"aud": 1}, CLAIMS),
        ({"aud": [AUDIENCE, "other"]}, None),
        ({"aud": "somebody else"}, None),  # the gate compares: it depends on the route
        ({"cnf": {"jkt": "x"}}, Reason.TOKEN_BOUND),
        ({"cnf": {"x5t#S256": "x"}}, Reason.TOKEN_BOUND),
        ({"cnf": {}}, Reason.TOKEN_BOUND),
        ({"cnf": False}, Reason.TOKEN_BOUND),
        ({"act": "agent-1"}, Reason.PROFILE_REFUSED),
        ({"act": {"sub": "agent-1"}}, None),
    ],
)
def test_the_claims_that_everything_relies_on_are_typed(changes: Json, reason: Reason | None) -> None:
    claims = good_claims(**changes)
    assert reason_of(verified(SIGNER.sign(claims))) is reason


LEEWAY = 30


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW + 0.5}, None),
        ({"exp": NOW - LEEWAY + 1}, None),
        ({"exp": NOW - LEEWAY}, Reason.TOKEN_EXPIRED),
        ({"exp": 0}, Reason.TOKEN_EXPIRED),
        ({"exp": -1}, Reason.TOKEN_EXPIRED),
        ({"exp": 1e308}, None),  # believed until the cap
        ({"nbf": NOW + LEEWAY}, None),
        ({"nbf": NOW + LEEWAY + 1}, Reason.TOKEN_NOT_YET_VALID),
        ({"iat": NOW + LEEWAY}, None),
        ({"iat": NOW + LEEWAY + 1}, Reason.TOKEN_NOT_YET_VALID),
        ({"iat": NOW + 90, "nbf": None}, Reason.TOKEN_NOT_YET_VALID),
        ({"iat": 1e308}, Reason.TOKEN_NOT_YET_VALID),
        ({"iat": NOW - 7199, "exp": NOW + 9999}, None),
        ({"iat": NOW - 7200, "exp": NOW + 9999}, Reason.LIFETIME_EXCEEDED),
        ({"iat": 0, "exp": NOW + 9999}, Reason.LIFETIME_EXCEEDED),
        ({"iat": NOW - 10, "exp": NOW + 365 * 86400}, None),  # long, but still young
    ],
)
def test_times_are_compared_at_their_edges(changes: Json, reason: Reason | None) -> None:
    issuer = an_issuer(leeway_s=LEEWAY, max_lifetime_s=7200)
    assert reason_of(verified(SIGNER.sign(good_claims(**changes)), issuer)) is reason
