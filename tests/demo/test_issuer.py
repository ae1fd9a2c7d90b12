import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from proxy.demo.issuer import AUDIENCE, PERSONAS, DemoIssuer
from proxy.identify.discovery import fetch_key_set
from proxy.identify.fetch import HttpFetch
from proxy.identify.issuers import Issuer
from proxy.identify.profiles import PROFILES
from proxy.identify.strict import decode_base64url, decode_object


@pytest.fixture
async def issuer() -> AsyncIterator[DemoIssuer]:
    issuer = DemoIssuer()
    await issuer.start()
    yield issuer
    await issuer.stop()


@pytest.mark.parametrize(("realm", "algorithm"), [("gitlab", "RS256"), ("company", "ES256")])
async def test_keys_are_found_as_those_of_any_issuer(issuer: DemoIssuer, realm: str, algorithm: str) -> None:
    configured = Issuer(
        alias=realm, url=issuer.url_of(realm), audiences=frozenset({AUDIENCE}), profile=PROFILES["generic"]
    )
    fetch = HttpFetch()
    key_set = await fetch_key_set(configured, fetch)
    persona = next(persona for persona in PERSONAS.values() if persona.realm == realm)
    header = decode_object(decode_base64url(issuer.token(persona, time.time()).split(".")[0].encode()))
    assert header["alg"] == algorithm
    assert key_set.find(str(header["kid"]), algorithm) is not None


@pytest.mark.parametrize("name", sorted(PERSONAS))
async def test_token_is_handed_out_as_one_line(issuer: DemoIssuer, name: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{issuer.url}/token/{name}") as response:
        text = await response.text()
    assert text.endswith("\n")
    claims = decode_object(decode_base64url(text.strip().split(".")[1].encode()))
    assert claims["aud"] == AUDIENCE
    assert claims["iss"] == issuer.url_of(PERSONAS[name].realm)


@pytest.mark.parametrize("path", ["/token/nobody", "/nope/keys", "/nope/.well-known/openid-configuration"])
async def test_unknown_names_are_not_found(issuer: DemoIssuer, path: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{issuer.url}{path}") as response:
        assert response.status == 404


async def test_index_lists_everybody(issuer: DemoIssuer) -> None:
    async with aiohttp.ClientSession() as session, session.get(issuer.url) as response:
        text = await response.text()
    assert all(f"/token/{name} " in text for name in PERSONAS)


async def test_it_listens_on_loopback_only(issuer: DemoIssuer) -> None:
    assert repr(issuer) == f"<DemoIssuer http://127.0.0.1:{issuer.port}>"
