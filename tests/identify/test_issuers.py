from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.identify.issuers import (
    ALGORITHMS,
    DEFAULT_ALGORITHMS,
    NEVER_A_CREDENTIAL,
    KeyTimes,
    is_safe_url,
    media_type,
)
from tests.identify.tokens import Json, an_issuer


@pytest.mark.parametrize(
    "changes",
    [
        {"audiences": frozenset()},
        {"algorithms": frozenset()},
        {"algorithms": frozenset({"RS256", "HS256"})},
        {"algorithms": frozenset({"none"})},
        {"algorithms": frozenset({"rs256"})},
        {"url": "http://idp.example.com"},
        {"url": "http://127.0.0.1.example.com"},
        {"url": "idp.example.com"},
        {"url": ""},
        {"jwks_url": "http://idp.example.com/keys"},
        {"jwks_url": "https://a.example/k", "jwks_file": Path("keys.json")},
        {"leeway_s": -1.0},
        {"max_lifetime_s": 0.0},
        {"max_token_bytes": 0},
        *({"types": frozenset({"JWT", name})} for name in sorted(NEVER_A_CREDENTIAL)),
        {"types": frozenset({"application/Logout+JWT"})},
        {"types": frozenset({"vc+sd-jwt"})},
    ],
)
def test_an_unsafe_issuer_cannot_be_built(changes: Json) -> None:
    with pytest.raises(ConfigurationError):
        an_issuer(**changes)


@pytest.mark.parametrize(
    "times",
    [
        {"fresh_for_s": 0},
        {"stale_for_s": -1},
        {"cooldown_s": 0},
        {"timeout_s": 0},
        {"fresh_for_s": 100, "stale_for_s": 99},
    ],
)
def test_times_of_keys_that_cannot_work_are_refused(times: Json) -> None:
    with pytest.raises(ConfigurationError):
        KeyTimes(**times)


@pytest.mark.parametrize(
    ("url", "is_safe"),
    [
        ("https://idp.example.com", True),
        ("https://idp.example.com:8443/realms/r", True),
        ("https://10.0.0.1/", True),
        ("http://127.0.0.1:8080", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8080/x", True),
        ("http://localhost:8080", True),
        ("HTTPS://IDP.example.com", True),
        ("http://idp.example.com", False),
        ("http://localhost.example.com", False),
        ("http://0.0.0.0", False),
        ("http://10.0.0.1", False),
        ("ftp://127.0.0.1", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("https:idp.example.com", False),
        ("//idp.example.com", False),
        ("https://a@idp.example.com", False),
        ("https://a:b@idp.example.com", False),
        ("https://idp.example.com/#x", False),
        ("https://idp.example.com:port", False),
        ("https://idp.example.com:99999", False),
        ("https://[::1", False),
        ("https://idp.example.com/\n", False),
        ("https://idp.example.com/a b\x00", False),
        ("https://idp.example.com/a b", False),
        ("https://idp.example.com/\ta", False),
        ("https://idp.example.com/a\r\nHost: elsewhere", False),
        ("https://idé.example.com", False),
    ],
)
def test_documents_come_over_https_or_from_this_machine(url: str, is_safe: bool) -> None:
    assert is_safe_url(url) is is_safe


def test_every_algorithm_is_asymmetric() -> None:
    assert DEFAULT_ALGORITHMS < ALGORITHMS
    assert not {name for name in ALGORITHMS if name.startswith("HS") or name.lower() == "none"}


def test_what_is_not_said_comes_from_the_profile() -> None:
    issuer = an_issuer("keycloak")
    assert issuer.accepted_types == {"jwt", "at+jwt"}
    assert issuer.names_of_groups == ("groups",)
    issuer = an_issuer("keycloak", types=frozenset({"application/AT+JWT"}), groups_claims=("roles", "teams"))
    assert issuer.accepted_types == {"at+jwt"}
    assert issuer.names_of_groups == ("roles", "teams")


@pytest.mark.parametrize(
    ("typ", "name"), [("JWT", "jwt"), ("application/at+jwt", "at+jwt"), ("Application/JWT", "jwt"), ("", "")]
)
def test_a_media_type_has_one_spelling(typ: str, name: str) -> None:
    assert media_type(typ) == name


def test_limits_hold_at_their_edges() -> None:
    assert KeyTimes(fresh_for_s=60, stale_for_s=60).stale_for_s == 60
    assert an_issuer(leeway_s=0.0, max_token_bytes=1).leeway_s == 0
