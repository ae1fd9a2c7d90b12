import pytest

from proxy.demo.keys import new_key
from proxy.demo.tokens import SHAPES, mint, registered
from proxy.identify.profiles import PROFILES
from proxy.identify.strict import decode_base64url, decode_object

KEY = new_key("EdDSA")


def claims_of(token: str) -> dict[str, object]:
    return decode_object(decode_base64url(token.split(".")[1].encode()))


def test_later_claims_lie_over_earlier_ones() -> None:
    assert claims_of(mint(KEY, {"sub": "a", "x": 1}, {"sub": "b"})) == {"sub": "b", "x": 1}


def test_times_are_those_of_a_token_just_made() -> None:
    assert registered("https://a.test", "b", 1000.9, 60) == {
        "iss": "https://a.test",
        "aud": "b",
        "iat": 1000,
        "nbf": 995,
        "exp": 1060,
    }


def test_there_is_a_shape_for_every_profile() -> None:
    assert SHAPES.keys() == PROFILES.keys()


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_profile_has_no_objection_to_its_shape(name: str) -> None:
    assert PROFILES[name].refuse(SHAPES[name]) is None
    assert "sub" in SHAPES[name]


@pytest.mark.parametrize(
    "name", [name for name, profile in PROFILES.items() if profile.caller_picks_audience]
)
def test_shape_can_be_pinned_by_an_id(name: str) -> None:
    plain = {claim for claim in PROFILES[name].pinning_claims if not claim.startswith("/")}
    assert plain & SHAPES[name].keys()
