"""Every number is read from the part that it is about; a running proxy has all the parts."""

import re
from pathlib import Path

from proxy.errors import AuditError
from proxy.gauges import limit_sources, open_streams, sources
from proxy.model.decision import Reason
from proxy.record.state_metrics import Source
from proxy.streams import NEVER, Stream, Streams
from proxy.tunnel import Tunnel
from tests.kit.certificates import Authority
from tests.kit.local_proxy import LocalProxy, get
from tests.kit.ports import free_port
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient
from tests.record.audit_trail import CountingSink

# Pinned keys have no age, since nobody fetches them; a sole endpoint has no standing, and this one no name.
EMPTY = {
    "rolegate_certificate_not_after_seconds",
    "rolegate_issuer_keys_age_seconds",
    "rolegate_endpoint_state",
    "rolegate_endpoint_ejections",
    "rolegate_endpoint_checks",
    "rolegate_endpoint_lookups",
}


def sources_of(local: LocalProxy) -> dict[str, Source]:
    proxy = local.proxy
    return {
        source.name: source
        for source in sources(proxy.recorder, proxy.keys, proxy.cache, proxy.pools, proxy.listener)
    }


def numbers(local: LocalProxy, name: str) -> dict[tuple[str, ...], float]:
    return {tuple(labels): number for labels, number in sources_of(local)[name].rows()}


async def test_every_source_has_a_name_a_text_and_as_many_labels_as_its_rows() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        proxy.proxy.pools["api"].pools[0].count(Reason.UPSTREAM_RESET)
        for name, source in sources_of(proxy).items():
            assert re.fullmatch("rolegate_[a-z_]+", name)
            assert not name.endswith(("_total", "_count"))
            assert source.text.endswith(".")
            rows = list(source.rows())
            assert rows or name in EMPTY
            assert {len(labels) for labels, _ in rows} <= {len(source.labels)}


async def test_client_connections_are_counted_while_they_are_open() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.request(get("/"))
            assert numbers(proxy, "rolegate_client_connections") == {(): 1}
        assert numbers(proxy, "rolegate_client_connections_accepted") == {(): 1}


async def test_connections_beyond_the_limit_are_counted() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"max_connections": 1}) as proxy,
        ScriptedClient(proxy.port) as first,
    ):
        await first.request(get("/"))
        async with ScriptedClient(proxy.port) as second:
            assert await second.is_closed()
        assert numbers(proxy, "rolegate_client_connections_refused") == {(): 1}
        assert numbers(proxy, "rolegate_client_connections") == {(): 1}


async def test_a_token_misses_the_cache_once() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            for _ in range(3):
                await client.request(get("/"))
        assert numbers(proxy, "rolegate_token_cache_entries") == {(): 1}
        lookups = numbers(proxy, "rolegate_token_cache_lookups")
        assert lookups[("hit",)] >= 2
        assert lookups[("miss",)] >= 1


async def test_upstream_connections_are_counted_by_state() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        assert numbers(proxy, "rolegate_upstream_connections") == {("api", "busy"): 0, ("api", "idle"): 0}
        async with ScriptedClient(proxy.port) as client:
            await client.request(get("/"))
        assert numbers(proxy, "rolegate_upstream_connections") == {("api", "busy"): 0, ("api", "idle"): 1}
        assert numbers(proxy, "rolegate_upstream_waiting_requests") == {("api",): 0}


async def test_an_upstream_that_is_not_there_is_counted_by_reason() -> None:
    async with LocalProxy(f"http://127.0.0.1:{free_port()}") as proxy:
        assert numbers(proxy, "rolegate_upstream_failures") == {}
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get("/"))).status == 502
        assert numbers(proxy, "rolegate_upstream_failures") == {("api", "upstream-unreachable"): 1}


async def test_keys_are_counted_by_issuer() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        assert numbers(proxy, "rolegate_issuer_keys") == {("idp",): 1}
        fetches = numbers(proxy, "rolegate_issuer_key_fetches")
        assert set(fetches) == {("idp", "success"), ("idp", "failure")}
        assert fetches["idp", "failure"] == 0
        assert numbers(proxy, "rolegate_issuer_keys_age_seconds") == {}


async def test_audit_records_and_failures_are_counted() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.request(get("/"))
            await client.request(get("/.rolegate/x"))
            assert numbers(proxy, "rolegate_audit_records") == {("decision",): 2, ("outcome",): 1}
            assert numbers(proxy, "rolegate_audit_available") == {(): 1}
            sink = CountingSink()
            sink.error = AuditError("full")
            proxy.proxy.recorder._sink = sink
            assert (await client.request(get("/"))).status == 503
        assert numbers(proxy, "rolegate_audit_available") == {(): 0}
        assert numbers(proxy, "rolegate_audit_failures")[()] >= 1
        assert numbers(proxy, "rolegate_audit_records_dropped") == {(): 0}
        sink.error = None


def limit_numbers(local: LocalProxy, name: str) -> dict[tuple[str, ...], float]:
    proxy = local.proxy
    found = {
        source.name: source
        for source in limit_sources(proxy.listener, lambda: proxy.resolver, proxy.admissions)
    }
    return {tuple(labels): number for labels, number in found[name].rows()}


async def test_each_limit_counts_how_often_it_acted() -> None:
    async with RecordingUpstream() as upstream:
        proxy = LocalProxy(
            upstream.url,
            listen={"max_connections_per_client": 1},
            route={"rate_limits": ["few"], "max_in_flight": 5},
        )
        proxy.configuration["rate_limits"] = {"few": {"per": "identity", "rate": "1/1h"}}
        async with proxy, ScriptedClient(proxy.port) as client:
            for _ in range(3):
                await client.request(get("/"))
            async with ScriptedClient(proxy.port) as second:
                assert await second.is_closed()
            bad = get("/").replace(b"\r\n\r\n", b"x\r\n\r\n")
            for _ in range(3):
                await client.request(bad)
            assert {
                name: limit_numbers(proxy, f"rolegate_{name}")
                for name in (
                    *("client_connections_refused_per_client", "clients_too_slow"),
                    *("rate_limit_refusals", "rate_limit_table_entries", "rate_limit_table_evictions"),
                    *("route_requests_in_flight", "route_requests_shed"),
                    *("token_verifications", "token_verifications_delayed"),
                    *("token_failures_entries", "token_failures_hits"),
                )
            } == {
                "client_connections_refused_per_client": {(): 1},
                "clients_too_slow": {("request",): 0, ("response",): 0},
                "rate_limit_refusals": {("few",): 2},
                "rate_limit_table_entries": {(): 1},
                "rate_limit_table_evictions": {(): 0},
                "route_requests_in_flight": {("api",): 0},
                "route_requests_shed": {("api",): 0},
                "token_verifications": {(): 2},
                "token_verifications_delayed": {(): 0},
                "token_failures_entries": {(): 1},
                "token_failures_hits": {(): 2},
            }


async def test_without_rate_limits_there_is_no_table_to_count() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        assert limit_numbers(proxy, "rolegate_rate_limit_table_entries") == {}
        assert limit_numbers(proxy, "rolegate_rate_limit_refusals") == {}


async def test_certificates_and_handshakes_are_counted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.server("a.example.com")
    tls = {"certificates": [issued.files]}
    sockets = [{"address": "127.0.0.1:0", "tls": tls}, {"address": f"unix:{tmp_path / 's'}", "tls": tls}]
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"sockets": sockets}) as proxy,
    ):
        ends_at = issued.certificate.not_valid_after_utc.timestamp()
        found = sources_of(proxy)
        rows = list(found["rolegate_certificate_not_after_seconds"].rows())
        assert rows == [((str(issued.certificate_file),), ends_at)]
        async with ScriptedClient(proxy.port) as client:
            await client.send(b"GET / HTTP/1.1\r\n\r\n")
            await client.read_to_end()
        failed = dict(found["rolegate_client_handshakes_failed"].rows())
        assert failed == {("proxy-header",): 0, ("tls",): 1, ("timeout",): 0}
        assert dict(found["rolegate_certificate_reloads"].rows()) == {("success",): 0, ("failure",): 0}


def test_open_streams_are_counted() -> None:
    streams = Streams()
    source = open_streams(streams)
    assert (source.name, list(source.rows())) == ("rolegate_open_streams", [((), 0)])
    tunnel = Tunnel(lambda reason: None, 1.0, 0.0)
    streams.add(Stream(tunnel, "api", None, NEVER))
    assert list(source.rows()) == [((), 1)]
