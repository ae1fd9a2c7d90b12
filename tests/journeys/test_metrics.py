"""Health and metrics of a proxy in a process of its own, as Prometheus and an orchestrator see them."""

import asyncio
import json
import random
import re
import signal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.forward.standing import State
from proxy.model.decision import Reason
from proxy.record.metrics import STATUS_CLASSES
from tests.journeys.trail import configuration
from tests.kit.issuer import OidcIssuer
from tests.kit.local_proxy import AUDIENCE, HOST, get, public_jwk, request, token, until
from tests.kit.ports import LOOPBACK, free_port
from tests.kit.prometheus import Prometheus, promtool_check
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream, answering
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import Response, ScriptedClient


def jwks_server(*, port: int = 0) -> RecordingUpstream:
    """Return a server that answers everything with the key set of our issuer."""
    body = json.dumps({"keys": [public_jwk()]}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return RecordingUpstream(answering(lambda _: head + body), port=port)


def configuration_with_everything(
    upstream: RecordingUpstream, keys_url: str, folder: Path
) -> dict[str, object]:
    """Return a configuration that has every kind of thing that is counted, a dead upstream included."""
    config = configuration(upstream.url, folder)
    issuers, upstreams, routes = config["issuers"], config["upstreams"], config["routes"]
    assert isinstance(issuers, dict)
    assert isinstance(upstreams, dict)
    assert isinstance(routes, list)
    issuers["fetched"] = {"url": keys_url, "audiences": [AUDIENCE], "jwks_url": f"{keys_url}/keys"}
    upstreams["dead"] = {"url": f"http://{LOOPBACK}:{free_port()}"}
    upstreams["spread"] = {"urls": [upstream.url, f"http://localhost:{upstream.port}"]}
    config["rate_limits"] = {"many": {"per": "route", "rate": "1000/s"}}
    routes[0] |= {"rate_limits": ["many"], "max_in_flight": 100}
    routes.append({"name": "dead", "match": {"paths": ["/dead/**"]}, "upstream": "dead", "public": True})
    return config


async def send(proxy: RunningProxy, data: bytes) -> Response:
    async with ScriptedClient(proxy.port) as client:
        return await client.request(data)


async def metrics_of(proxy: RunningProxy) -> str:
    return await asyncio.to_thread(proxy.metrics_text)


def anonymous(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


# What Prometheus reads


@pytest.mark.component("prometheus", "promtool")
async def test_prometheus_scrapes_every_family_and_answers_questions_about_it(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, jwks_server() as keys:
        config = configuration_with_everything(upstream, keys.url, tmp_path)
        async with RunningProxy(config) as proxy, Prometheus(proxy.admin_port) as prometheus:
            for _ in range(7):
                assert (await send(proxy, get("/a"))).status == 200
            assert (await send(proxy, request("POST", "/a", body=b"x" * 1000))).status == 200
            assert (await send(proxy, anonymous("/a"))).status == 401
            assert (await send(proxy, anonymous("/dead/a"))).status == 502
            assert (await send(proxy, get("/.rolegate/a"))).status == 404

            text = await metrics_of(proxy)
            assert promtool_check(text) == []

            async def value(expression: str) -> float | None:
                return await asyncio.to_thread(prometheus.value, expression)

            last = 'rolegate_decisions_total{reason="no-route"}'
            await until(lambda: prometheus.value(last) == 1, what="a scrape", timeout_s=20)

            families = [
                one for one in text_string_to_metric_families(text) if one.name.startswith("rolegate_")
            ]
            assert len(families) >= 22
            for family in families:
                name = {"counter": f"{family.name}_total", "histogram": f"{family.name}_bucket"}.get(
                    family.type, family.name
                )
                # Without TLS there is no certificate; tests/test_gauges.py has one.
                least = 0 if name == "rolegate_certificate_not_after_seconds" else 1
                assert (await value(f"count({name})") or 0) >= least, name
            for expression, expected in {
                "up": 1,
                'rolegate_decisions_total{route="api",reason="allowed"}': 8,
                'rolegate_decisions_total{route="api",reason="credential-missing"}': 1,
                'rolegate_outcomes_total{route="dead",reason="upstream-unreachable"}': 1,
                'rolegate_responses_total{route="api",status="2xx"}': 8,
                'sum(rolegate_responses_total{status=~"4xx|5xx"})': 3,
                'rolegate_request_duration_seconds_count{route="api"}': 9,
                'histogram_quantile(0.99, rolegate_request_duration_seconds_bucket{route="api"}) < bool 5': 1,
                'rolegate_request_body_bytes_total{route="api"}': 1000,
                'rolegate_response_body_bytes_total{route="api"}': 16,
                "rolegate_audit_available": 1,
                'rolegate_audit_records_total{kind="decision"}': 11,
                'rolegate_audit_records_total{kind="outcome"}': 9,
                'rolegate_issuer_keys{issuer="idp"}': 1,
                'rolegate_issuer_keys{issuer="fetched"}': 1,
                'rolegate_issuer_key_fetches_total{issuer="fetched",result="success"}': 1,
                'rolegate_upstream_failures_total{upstream="dead",reason="upstream-unreachable"}': 1,
                'rolegate_upstream_connections{upstream="api",state="busy"}': 0,
                "rolegate_token_cache_entries": 1,
                "sum(rolegate_token_cache_lookups_total) > bool 8": 1,
                "rolegate_client_connections_accepted_total": 11,
                'count(rolegate_build_info{build=~"interpreted|compiled"})': 1,
            }.items():
                assert await value(expression) == expected, expression


@pytest.mark.component("promtool")
async def test_a_proxy_that_has_just_started_has_clean_metrics(tmp_path: Path) -> None:
    async with RunningProxy(configuration("http://127.0.0.1:1", tmp_path)) as proxy:
        assert promtool_check(await metrics_of(proxy)) == []


# Labels


def hostile_requests(dice: random.Random) -> list[bytes]:
    """Return one request for each way of putting text of one's own into a request."""
    word = f"{dice.getrandbits(64):016x}"
    host = f"Host: {HOST}\r\n".encode()
    return [
        get(f"/{word}?{word}"),
        get(f"/public/{word}", b"User-Agent: " + word.encode(), b"X-Request-Id: " + word.encode()),
        get("/a").replace(HOST.encode(), f"{word}.example".encode()),
        anonymous(f"/{word}"),
        anonymous(f"/dead/{word}"),
        get(f"/.rolegate/{word}"),
        get(f"/a/../{word}"),
        get("/a", f"Expect: {word}".encode()),
        f"{word} / HTTP/1.1\r\n".encode() + host + b"\r\n",
        f"GET / HTTP/1.1\r\nHost: {word}\r\nHost: {word}\r\n\r\n".encode(),
        *(
            f"GET / HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {unverified}\r\n\r\n".encode()
            for unverified in (
                token(subject=word),
                token(iss=f"https://{word}.example"),
                token(aud=f"https://{word}.example"),
                token(team=word),
                token(exp=1),
                token()[:-8] + word[:8],
                word,
            )
        ),
        *(
            f"{method} /{word} HTTP/1.1\r\n".encode() + host + b"\r\n"
            for method in ("PROPFIND", "PURGE", "QUERY")
        ),
    ]


def series_of(text: str) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


LABELS = {
    "route": {"", "api", "public", "dead"},
    "reason": {reason.value for reason in Reason},
    "status": set(STATUS_CLASSES),
    "issuer": {"idp", "fetched"},
    "upstream": {"api", "dead", "spread"},
    "state": {"busy", "idle", *State},
    "result": {
        *("hit", "miss", "success", "failure", "passed", "failed"),
        *("sent", "over-budget", "stale-connection"),
    },
    "kind": {"decision", "outcome"},
    "build": {"compiled", "interpreted"},
    "direction": {"request", "response"},
    "limit": {"many"},
    "cause": {"proxy-header", "tls", "timeout"},
}


async def test_no_client_can_make_a_series(tmp_path: Path) -> None:
    dice = random.Random(1)
    async with RecordingUpstream() as upstream, jwks_server() as keys:
        config = configuration_with_everything(upstream, keys.url, tmp_path)
        async with RunningProxy(config) as proxy:
            for data in hostile_requests(dice):
                await send(proxy, data)
            before = series_of(await metrics_of(proxy))
            for _ in range(60):
                for data in hostile_requests(dice):
                    await send(proxy, data)
            after = series_of(await metrics_of(proxy))
    assert after == before
    for name, labels in after:
        for label, value in labels:
            if name.startswith("rolegate_") and label not in {"le", "version", "endpoint"}:
                assert value in LABELS[label], (name, label, value)


# Ports


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/api/v1/routes"])
async def test_health_and_metrics_are_not_on_the_data_port(tmp_path: Path, path: str) -> None:
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path)
        routes = config["routes"]
        assert isinstance(routes, list)
        routes[0]["match"] = {"paths": ["/only/**"]}
        async with RunningProxy(config) as proxy:
            assert (await send(proxy, anonymous(path))).status == 401
            assert (await send(proxy, get(path))).status == 404
            assert upstream.byte_count == 0


async def test_no_route_is_on_the_admin_port(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, RunningProxy(configuration(upstream.url, tmp_path)) as proxy:
        async with ScriptedClient(proxy.admin_port) as client:
            assert (await client.request(get("/public/a"))).status == 404
        assert upstream.byte_count == 0


# Readiness


def reason_of(response: Response) -> str:
    return str(json.loads(response.body)["reason"])


@pytest.mark.component("node", "oidc-provider")
async def test_it_is_not_ready_before_a_required_issuer_has_keys(tmp_path: Path) -> None:
    """The issuer is down when the proxy starts; meanwhile the tokens of another one are good."""
    async with RecordingUpstream() as upstream, OidcIssuer() as late:
        url, early_token = late.url, await asyncio.to_thread(late.token, team="a")
        await asyncio.to_thread(late.end)
        config = configuration(upstream.url, tmp_path)
        issuers, roles = config["issuers"], config["roles"]
        assert isinstance(issuers, dict)
        assert isinstance(roles, dict)
        issuers["late"] = {"url": url, "audiences": [AUDIENCE], "keys": {"cooldown": "1s", "timeout": "1s"}}
        roles["caller"]["bindings"].append({"issuer": "late", "claims": {"client_id": "service"}})
        async with RunningProxy(config, ready_path="/livez") as proxy:
            status, text = await asyncio.to_thread(proxy.admin, "/readyz")
            assert status == 503
            assert re.fullmatch(r"not ready: issuer `late` has no keys: .+\n", text)
            refused = await send(proxy, with_token(early_token))
            assert (refused.status, reason_of(refused)) == (503, "keys-unavailable")
            assert upstream.byte_count == 0
            assert (await send(proxy, get("/a"))).status == 200

            await asyncio.to_thread(late.restart)
            assert late.url == url
            await until(lambda: proxy.admin("/readyz")[0] == 200, what="readiness", timeout_s=20)
            good = await asyncio.to_thread(late.token, team="a")
            assert (await send(proxy, with_token(good))).status == 200
            # Signed by a key that is gone: an issuer that came back with other keys is believed.
            assert reason_of(await send(proxy, with_token(early_token))) in {
                "key-unknown",
                "signature-invalid",
            }


async def test_an_issuer_that_is_not_required_does_not_hold_up_readiness(tmp_path: Path) -> None:
    port = free_port()
    config = configuration("http://127.0.0.1:1", tmp_path)
    issuers = config["issuers"]
    assert isinstance(issuers, dict)
    url = f"http://{LOOPBACK}:{port}"
    issuers["spare"] = {
        "url": url,
        "audiences": [AUDIENCE],
        "jwks_url": f"{url}/keys",
        "required": False,
        "keys": {"cooldown": "1s", "timeout": "1s"},
    }
    async with RunningProxy(config) as proxy:
        refused = await send(proxy, with_token(token(iss=url)))
        assert (refused.status, reason_of(refused)) == (503, "keys-unavailable")
        assert 'rolegate_issuer_keys{issuer="spare"} 0.0\n' in await metrics_of(proxy)
        assert 'rolegate_issuer_keys{issuer="idp"} 1.0\n' in await metrics_of(proxy)
        async with jwks_server(port=port):
            await until(
                lambda: 'rolegate_issuer_keys{issuer="spare"} 1.0\n' in proxy.metrics_text(),
                what="the keys",
                timeout_s=15,
            )


async def test_it_is_alive_but_not_ready_while_it_stops(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def answer_late(connection: RecordedConnection) -> None:
        await connection.request()
        await release.wait()
        await connection.write(OK)

    async with (
        RecordingUpstream(answer_late) as upstream,
        RunningProxy(configuration(upstream.url, tmp_path)) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(get("/a"))
        await until(lambda: upstream.byte_count > 0, what="the request")
        proxy.send_signal(signal.SIGTERM)
        stopping = (503, "not ready: shutting down\n")
        await until(lambda: proxy.admin("/readyz") == stopping, what="the stop")
        assert await asyncio.to_thread(proxy.admin, "/livez") == (200, "ok\n")
        release.set()
        assert (await client.read_response()).status == 200
        assert await asyncio.to_thread(proxy.terminate) == 0


def with_token(unverified_token: str) -> bytes:
    return f"GET /a HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {unverified_token}\r\n\r\n".encode()
