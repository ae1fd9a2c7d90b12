import base64
import json
from collections.abc import Iterator

import jwt
import pytest

from tests.kit.issuer import GITLAB_CLAIMS, OidcIssuer

pytestmark = pytest.mark.component("oidc-provider")


@pytest.fixture(scope="module")
def issuer() -> Iterator[OidcIssuer]:
    with OidcIssuer(audience="https://api.example.com") as running:
        yield running


@pytest.fixture(scope="module")
def gitlab() -> Iterator[OidcIssuer]:
    with OidcIssuer(shape="gitlab") as running:
        yield running


def part(token: str, index: int) -> dict[str, object]:
    text = token.split(".")[index]
    decoded: dict[str, object] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return decoded


def verified(issuer: OidcIssuer, token: str) -> dict[str, object]:
    keys = jwt.PyJWKSet.from_dict(issuer.jwks())
    header = part(token, 0)
    claims: dict[str, object] = jwt.decode(
        token,
        keys[str(header["kid"])],
        algorithms=[str(header["alg"])],
        audience=issuer.audience,
        issuer=issuer.url,
    )
    return claims


def test_discovery_names_the_issuer_it_was_asked_at(issuer: OidcIssuer) -> None:
    assert issuer.discovery()["issuer"] == issuer.url


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_tokens_are_access_tokens_of_rfc_9068(issuer: OidcIssuer, alg: str) -> None:
    token = issuer.token(alg=alg)
    assert part(token, 0)["typ"] == "at+jwt"
    assert part(token, 0)["alg"] == alg
    claims = verified(issuer, token)
    assert claims["aud"] == "https://api.example.com"
    assert claims["client_id"] == claims["sub"] == "service"
    assert {"exp", "iat", "jti"} <= claims.keys()


def test_a_test_says_what_the_issuer_vouches_for(issuer: OidcIssuer) -> None:
    token = issuer.token(client="agent", audience="https://b.example", groups=["oncall"], exp=2_000_000_000)
    claims = part(token, 1)
    assert claims["client_id"] == "agent"
    assert claims["aud"] == "https://b.example"
    assert claims["groups"] == ["oncall"]
    assert claims["exp"] == 2_000_000_000


def test_gitlab_job_tokens_have_the_shape_of_gitlab(gitlab: OidcIssuer) -> None:
    token = gitlab.token(project_id="7301")
    assert part(token, 0)["typ"] == "JWT"
    claims = verified(gitlab, token)
    assert gitlab.jwks_url == f"{gitlab.url}/oauth/discovery/keys"
    assert {name: claims[name] for name in GITLAB_CLAIMS} == {**GITLAB_CLAIMS, "project_id": "7301"}
    assert claims["nbf"] == int(str(claims["iat"])) - 5
    assert not {"client_id", "scope"} & claims.keys()


def test_a_rotated_issuer_keeps_its_name_and_changes_its_keys() -> None:
    with OidcIssuer() as issuer:
        url, before = issuer.url, issuer.token()
        issuer.rotate()
        assert issuer.url == url
        with pytest.raises(KeyError):
            verified(issuer, before)
        assert verified(issuer, issuer.token())["iss"] == url


def test_requests_to_the_issuer_are_counted(issuer: OidcIssuer) -> None:
    before = issuer.request_count(r"/jwks")
    issuer.jwks()
    assert issuer.request_count(r"/jwks") == before + 1
    assert issuer.request_count(r"/nothing") == 0
