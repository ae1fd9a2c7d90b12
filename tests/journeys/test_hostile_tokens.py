"""Tokens, good and forged, at the front door: the answer, the record, and what reaches the upstream."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Generator
from typing import cast

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.journeys.refused import record_of_refused
from tests.kit.issuer import OidcIssuer
from tests.kit.local_proxy import (
    AUDIENCE,
    HOST,
    ISSUER,
    LocalProxy,
    bearer,
    get,
    public_jwk,
    signing_key,
    token,
)
from tests.kit.recorder import RecordingUpstream
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import ScriptedClient


def with_token(value: str, path: str = "/") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {value}\r\n\r\n".encode()


def with_lines(*lines: str, path: str = "/") -> bytes:
    text = "".join(f"{line}\r\n" for line in lines)
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{text}\r\n".encode()


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims() -> dict[str, object]:
    return cast("dict[str, object]", jwt.decode(token(), options={"verify_signature": False}))


def signed(header: dict[str, object], key: rsa.RSAPrivateKey | None = None, **changes: object) -> str:
    return jwt.encode({**claims(), **changes}, key or signing_key(), "RS256", headers={"kid": "k1", **header})


def unsigned(algorithm: str, signature: str = "") -> str:
    return f"{encoded({'alg': algorithm, 'kid': 'k1', 'typ': 'at+jwt'})}.{encoded(claims())}.{signature}"


def signed_with_the_public_key() -> str:
    """HS256, keyed with what everybody knows: works where the token says how it is to be verified."""
    key = signing_key().public_key()
    secret = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    start = f"{encoded({'alg': 'HS256', 'kid': 'k1', 'typ': 'at+jwt'})}.{encoded(claims())}"
    digest = hmac.new(secret, start.encode(), hashlib.sha256).digest()
    return f"{start}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def tampered() -> str:
    header, _, signature = token().split(".")
    return f"{header}.{encoded({**claims(), 'sub': 'admin'})}.{signature}"


def own_key() -> str:
    """Signed by the attacker, who brings the key along."""
    key = rsa.generate_private_key(65537, 2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    urls = {"jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/cert"}
    return signed({"jwk": jwk, "typ": "at+jwt", **urls}, key)


FORGED = {
    "expired": (lambda: token(exp=int(time.time()) - 60, iat=int(time.time()) - 600), "token-expired"),
    "not yet valid": (lambda: token(nbf=int(time.time()) + 600), "token-not-yet-valid"),
    "without an end": (lambda: token(exp=None), "claims-malformed"),
    "issued long ago": (lambda: token(iat=int(time.time()) - 90_000), "lifetime-exceeded"),
    "another audience": (lambda: token(aud="https://other.example.com"), "audience-mismatch"),
    "no audience": (lambda: token(aud=None), "claims-malformed"),
    "an audience that begins like ours": (lambda: token(aud=f"{AUDIENCE}.evil.example"), "audience-mismatch"),
    "another issuer": (lambda: token(iss="https://evil.example.com"), "issuer-unknown"),
    "an issuer with a slash": (lambda: token(iss=f"{ISSUER}/"), "issuer-unknown"),
    "an issuer in capitals": (lambda: token(iss=ISSUER.upper()), "issuer-unknown"),
    "no subject": (lambda: token(sub=None), "claims-malformed"),
    "alg none": (lambda: unsigned("none"), "algorithm-refused"),
    "alg none with a signature": (lambda: unsigned("none", "c2ln"), "algorithm-refused"),
    "alg NoNe": (lambda: unsigned("NoNe", "c2ln"), "algorithm-refused"),
    "HS256 with the public key": (signed_with_the_public_key, "algorithm-refused"),
    "tampered": (tampered, "signature-invalid"),
    "no signature": (lambda: token().rpartition(".")[0] + ".", "signature-invalid"),
    "half a signature": (lambda: token()[:-42], "signature-invalid"),
    "unknown key": (lambda: signed({"kid": "k2", "typ": "at+jwt"}), "key-unknown"),
    "a key that it brings itself": (own_key, "signature-invalid"),
    "a logout token": (lambda: signed({"typ": "logout+jwt"}), "type-refused"),
    "a critical extension": (lambda: signed({"crit": ["b64"], "b64": False}), "critical-header"),
    "encrypted": (lambda: f"{encoded({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.a.b.c.d", "token-encrypted"),
    "two parts": (lambda: "a.b", "token-malformed"),
    "no JWT": (lambda: "glpat-abcdefghij", "token-malformed"),
    "too large": (lambda: token(note="x" * 13_000), "token-too-large"),
}


@pytest.mark.parametrize(("make", "reason"), FORGED.values(), ids=FORGED.keys())
@pytest.mark.parametrize("path", ["/", "/public/a"], ids=["guarded", "public"])
async def test_a_bad_token_is_refused_on_guarded_and_public_routes(make, reason: str, path: str) -> None:  # type: ignore[no-untyped-def]  # a table of lambdas
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        record = await record_of_refused(
            proxy, upstream, with_token(make(), path), status=401, reason=reason, stays_open=True
        )
        # Who a token is about is known once its signature is good, whomever it is meant for.
        assert (record["subject"] is None) == (reason != "audience-mismatch")
        assert "eyJ" not in json.dumps(record)


GOOD = bearer().decode().strip()

UNREADABLE = {
    "two credentials": ([GOOD, GOOD], 400, "several-credentials"),
    "a good one and a bad one": ([GOOD, "Authorization: Bearer x"], 400, "several-credentials"),
    "Basic": (["Authorization: Basic YTpi"], 401, "scheme-unsupported"),
    "DPoP": ([GOOD.replace("Bearer", "DPoP")], 401, "scheme-unsupported"),
    "empty Bearer": (["Authorization: Bearer "], 400, "credential-malformed"),
    "Bearer alone": (["Authorization: Bearer"], 400, "credential-malformed"),
    "no scheme": (["Authorization: "], 400, "credential-malformed"),
    "two tokens": ([f"{GOOD} x"], 400, "credential-malformed"),
    "a list": ([f"{GOOD}, Bearer x"], 400, "credential-malformed"),
}


@pytest.mark.parametrize(("lines", "status", "reason"), UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize("path", ["/", "/public/a"], ids=["guarded", "public"])
async def test_a_credential_that_cannot_be_read_is_never_taken_for_none(
    lines: list[str], status: int, reason: str, path: str
) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        await record_of_refused(
            proxy, upstream, with_lines(*lines, path=path), status=status, reason=reason, stays_open=True
        )


async def test_nothing_presented_is_asked_for_a_credential() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            response = await client.request(with_lines())
        assert response.status == 401
        assert response.header("WWW-Authenticate") == 'Bearer realm="rolegate"'
        assert upstream.byte_count == 0


async def test_a_token_in_query_cookie_or_body_is_never_read() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        for data in (
            with_lines(path=f"/?access_token={token()}"),
            with_lines(f"Cookie: access_token={token()}"),
            with_lines(f"X-Authorization: Bearer {token()}"),
            with_lines("Content-Type: application/x-www-form-urlencoded").replace(b"GET", b"POST"),
        ):
            await record_of_refused(
                proxy, upstream, data, status=401, reason="credential-missing", stays_open=True
            )


async def test_a_public_route_needs_no_token_and_says_nothing_of_anybody() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(with_lines(path="/public/a"))).status == 200
        assert b"x-rolegate-subject" not in upstream.received.lower()
        assert proxy.reasons[0] == ("decision", "public")


async def test_the_audience_of_one_route_opens_no_other() -> None:
    inner, outer = "https://inner.example.com", "https://outer.example.com"
    async with RecordingUpstream() as upstream:
        proxy = LocalProxy(upstream.url, route={"match": {"paths": ["/inner/**"]}, "audiences": [inner]})
        issuers = cast("dict[str, dict[str, object]]", proxy.configuration["issuers"])
        issuers["idp"]["audiences"] = [inner, outer]
        routes = cast("list[dict[str, object]]", proxy.configuration["routes"])
        routes.append({**routes[0], "name": "outer", "match": {"paths": ["/outer/**"]}, "audiences": [outer]})
        async with proxy, ScriptedClient(proxy.port) as client:
            both = token(aud=[inner, outer])
            for value, path, status in (
                (token(aud=inner), "/inner/a", 200),
                (token(aud=inner), "/outer/a", 401),
                (token(aud=outer), "/inner/a", 401),
                (token(aud=outer), "/outer/a", 200),
                (both, "/inner/a", 200),
                (both, "/outer/a", 200),
            ):
                assert (await client.request(with_token(value, path))).status == status, path
        assert len(upstream.requests) == 4


async def test_a_role_that_no_binding_gives_allows_nothing() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        await record_of_refused(
            proxy,
            upstream,
            with_token(token(team="b")),
            status=403,
            reason="no-rule-matched",
            stays_open=True,
        )


async def test_the_token_reaches_the_upstream_only_if_the_route_says_so() -> None:
    route = {"unsafe_forward_credential": True}
    for settings, count in (({}, 0), (route, 1)):
        async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route=settings) as proxy:
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(get("/"))).status == 200
            assert upstream.received.count(bearer()) == count


async def test_a_subject_cannot_inject_a_header() -> None:
    subject = "a\r\nX-Rolegate-Roles: admin\r\n\r\nGET /smuggled HTTP/1.1"
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.request(with_token(token(subject)))
        assert upstream.received.count(b"\r\nX-Rolegate-Roles:") == 1
        assert upstream.received.count(b"\r\n\r\n") == 1


@pytest.fixture(scope="module")
def issuer() -> Generator[OidcIssuer]:
    with OidcIssuer() as running:
        yield running


@pytest.fixture(scope="module")
def gitlab() -> Generator[OidcIssuer]:
    with OidcIssuer(shape="gitlab", audience="https://deploy.example.com") as running:
        yield running


@pytest.mark.component("oidc-provider")
async def test_tokens_of_real_providers_become_roles(issuer: OidcIssuer, gitlab: OidcIssuer) -> None:
    configuration = {
        "issuers": {
            "idp": {"url": issuer.url, "audiences": [issuer.audience]},
            "gitlab": {"url": gitlab.url, "audiences": [gitlab.audience], "profile": "gitlab-ci"},
        },
        "roles": {
            "service": {"bindings": [{"issuer": "idp", "claims": {"sub": "service"}}]},
            "deployer": {
                "bindings": [{"issuer": "gitlab", "claims": {"project_id": "42", "ref_protected": "true"}}]
            },
        },
        "routes": [
            {
                "name": "api",
                "match": {"paths": ["/api/**"]},
                "upstream": "up",
                "allow": [{"roles": ["service"]}],
            },
            {
                "name": "deploy",
                "match": {"paths": ["/deploy/**"]},
                "upstream": "up",
                "allow": [{"roles": ["deployer"]}],
            },
        ],
    }
    async with RecordingUpstream() as upstream:
        upstreams = {"upstreams": {"up": {"url": upstream.url}}}
        cases = (
            (issuer.token(), "/api/a", 200, "allowed"),
            (issuer.token(alg="ES256"), "/api/a", 200, "allowed"),
            (issuer.token(client="agent"), "/api/a", 403, "no-rule-matched"),
            (issuer.token(), "/deploy/a", 403, "no-rule-matched"),
            (issuer.token(audience="https://other.example.com"), "/api/a", 401, "audience-mismatch"),
            (gitlab.token(), "/deploy/a", 200, "allowed"),
            (gitlab.token(project_id="43"), "/deploy/a", 403, "no-rule-matched"),
            (gitlab.token(ref_protected="false"), "/deploy/a", 403, "no-rule-matched"),
            (gitlab.token(), "/api/a", 403, "no-rule-matched"),
        )
        async with RunningProxy({**configuration, **upstreams}) as proxy:
            async with ScriptedClient(proxy.port) as client:
                for value, path, status, _ in cases:
                    assert (await client.request(with_token(value, path))).status == status, path
            decisions = [record for record in proxy.audit_records() if record["kind"] == "decision"]
        assert [record["reason"] for record in decisions] == [reason for *_, reason in cases]
        assert len(upstream.requests) == 3
        assert b"X-Rolegate-Subject: service\r\n" in upstream.requests[0]
        assert b"X-Rolegate-Roles: deployer\r\n" in upstream.requests[2]
        assert b"X-Rolegate-Issuer: gitlab\r\n" in upstream.requests[2]


def test_the_public_key_of_these_tests_is_public() -> None:
    assert "d" not in public_jwk()
