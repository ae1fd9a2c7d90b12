import pytest

from proxy.errors import IssuerError
from proxy.identify.discovery import discovery_url, fetch_key_set, read_jwks_url
from proxy.identify.fetch import HttpFetch
from tests.identify.provider import DISCOVERY, KEYS, a_provider
from tests.identify.tokens import URL, Json, Signer, an_issuer, as_json


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("https://a.example", "https://a.example/.well-known/openid-configuration"),
        ("https://a.example/", "https://a.example/.well-known/openid-configuration"),
        ("https://a.example/realms/r", "https://a.example/realms/r/.well-known/openid-configuration"),
        ("https://a.example/t/", "https://a.example/t/.well-known/openid-configuration"),
    ],
)
def test_the_document_is_behind_the_path_of_the_issuer(issuer: str, expected: str) -> None:
    assert discovery_url(issuer) == expected


def test_the_address_of_the_keys_is_read() -> None:
    document = as_json({"issuer": URL, "jwks_uri": "https://keys.example.com/k"})
    assert read_jwks_url(an_issuer(), document) == "https://keys.example.com/k"


@pytest.mark.parametrize(
    "members",
    [
        {"jwks_uri": "https://a.example/k"},
        {"issuer": URL + "/", "jwks_uri": "https://a.example/k"},
        {"issuer": URL.upper(), "jwks_uri": "https://a.example/k"},
        {"issuer": "https://evil.example", "jwks_uri": "https://a.example/k"},
        {"issuer": [URL], "jwks_uri": "https://a.example/k"},
        {"issuer": URL},
        {"issuer": URL, "jwks_uri": None},
        {"issuer": URL, "jwks_uri": ["https://a.example/k"]},
        {"issuer": URL, "jwks_uri": "http://a.example/k"},
        {"issuer": URL, "jwks_uri": "http://127.0.0.1:8500/v1/kv"},  # local services are not theirs to name
        {"issuer": URL, "jwks_uri": "http://[::1]/k"},
        {"issuer": URL, "jwks_uri": "file:///etc/passwd"},
        {"issuer": URL, "jwks_uri": "/k"},
        {"issuer": URL, "jwks_uri": "https://user:pass@a.example/k"},
        {"issuer": URL, "jwks_uri": "https:///k"},
        {"issuer": URL, "jwks_uri": "https://a.example/k\r\nX: y"},
    ],
)
def test_a_document_of_somebody_else_or_to_an_unsafe_place_is_discarded(members: Json) -> None:
    with pytest.raises(IssuerError):
        read_jwks_url(an_issuer(), as_json(members))


@pytest.mark.parametrize("document", [b"", b"<html>", b"[]", b'{"issuer": "a", "issuer": "a"}'])
def test_a_document_that_is_no_object_is_discarded(document: bytes) -> None:
    with pytest.raises(IssuerError, match="not readable"):
        read_jwks_url(an_issuer(), document)


async def test_keys_come_by_discovery_or_from_the_configured_address() -> None:
    fetch = HttpFetch()
    async with a_provider(Signer()) as provider:
        found = await fetch_key_set(an_issuer(url=provider.url), fetch)
        assert sorted(found.by_name) == [("key-1", "RS256")]
        assert provider.asked == {DISCOVERY: 1, KEYS: 1}
        direct = await fetch_key_set(an_issuer(url=provider.url, jwks_url=provider.url + KEYS), fetch)
        assert direct.identity == found.identity
        assert provider.asked == {DISCOVERY: 1, KEYS: 2}
