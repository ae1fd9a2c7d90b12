import time
from pathlib import Path

import pytest

from proxy.demo.pretend import pretending
from proxy.errors import ConfigurationError
from proxy.identify.strict import decode_base64url, decode_object
from proxy.settings.load import load
from proxy.settings.schema import Settings

CONFIG = """
audit: {stdout: true}
issuers:
  main: {url: https://a.test, audiences: [here, there]}
  strict: {url: https://b.test, audiences: [here], algorithms: [PS512], typ: [at+jwt]}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "rolegate.yaml"
    path.write_text(CONFIG)
    return load(path)


def test_what_claims_lack_is_filled_in_and_times_are_fresh(settings: Settings) -> None:
    now = time.time()
    with pretending(settings, "main", {"sub": "me", "exp": 5}, now) as (_, token):
        claims = decode_object(decode_base64url(token.split(b".")[1]))
    assert claims["sub"] == "me"
    assert claims["iss"] == "https://a.test"
    assert claims["aud"] == "here"
    assert claims["exp"] == int(now) + 60


def test_token_is_of_the_kind_that_the_issuer_signs(settings: Settings) -> None:
    with pretending(settings, "strict", {}, time.time()) as (_, token):
        header = decode_object(decode_base64url(token.split(b".")[0]))
    assert header["alg"] == "PS512"
    assert header["typ"] == "at+jwt"


def test_throw_away_key_is_pinned_in_a_copy_and_gone_afterwards(settings: Settings) -> None:
    with pretending(settings, "main", {}, time.time()) as (trusting, _):
        pinned = trusting.issuers["main"].jwks_file
        assert pinned is not None
        assert pinned.exists()
        assert trusting.issuers["strict"] is settings.issuers["strict"]
    assert not pinned.exists()
    assert settings.issuers["main"].jwks_file is None


@pytest.mark.parametrize(
    ("alias", "claims", "message"),
    [
        ("nope", {}, "no issuer is called `nope`; configured: `main`, `strict`"),
        ("main", {"iss": "https://b.test"}, "`iss` must be `https://a.test`"),
    ],
)
def test_claims_of_nobody_configured_are_refused(
    settings: Settings, alias: str, claims: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message), pretending(settings, alias, claims, time.time()):
        pass
