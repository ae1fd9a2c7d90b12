"""One target: what could lead somewhere else to somebody else is refused, the rest goes on byte for byte."""

import pytest

from tests.journeys.refused import record_of_refused
from tests.kit.local_proxy import HOST, LocalProxy, bearer, get
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient

ROUTE = {"match": {"paths": ["/public-looking/**", "/open/**"]}}

AMBIGUOUS_PATHS = (
    "/open/../secret",
    "/open/..",
    "/open/./secret",
    "/open/%2e%2e/secret",
    "/open/.%2e/secret",
    "/open/%2E%2E/secret",
    "/open/%252e%252e/secret",
    "/open/%25%32%65%25%32%65/secret",
    "/open/..%2fsecret",
    "/open/..%5csecret",
    "/open/a%2fb",
    "/open/a%2Fb",
    "/open/a%5cb",
    "/open\\a",
    "/open/a%00b",
    "/open/%c0%ae%c0%ae/secret",
    "/open/%ff",
    "/open/%u002e",
    "/open/%zz",
    "/open/%",
    "/open/%2",
    "/open//secret",
    "//open/secret",
    "/open/..;/secret",
    "/open/a;b=c",
    "/open/a%3bb",
    "/open/a#b",
    "/open/a%0d%0aX-A: b",
    "/open/a%09b",
    "/open/a%7fb",
    "/open/%e2%80%a8",
    "/open/%ef%bc%8e%ef%bc%8e/secret",
    "/open/...",
)


@pytest.mark.parametrize("path", AMBIGUOUS_PATHS)
async def test_a_path_with_two_readings_is_refused(path: str) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route=ROUTE) as proxy:
        data = get("PATH").replace(b"PATH", path.encode(), 1)
        async with ScriptedClient(proxy.port) as client:
            response = await client.request(data)
        await proxy.until_quiet()
        assert response.status == 400
        assert upstream.byte_count == 0
        assert [record["decision"] for record in proxy.records()] == ["deny"]
        assert proxy.reasons[0][1] in {"ambiguous-path", "malformed-request"}


NOT_A_PATH = (
    "open/a",
    "*",
    "api.example.com",
    "api.example.com:443",
    "?a=b",
    "ftp://api.example.com/open/a",
    "//api.example.com",
    "http:///open/a",
    "http:/open/a",
    "file:///etc/passwd",
)


@pytest.mark.parametrize("target", NOT_A_PATH)
async def test_a_target_without_a_path_of_ours_is_refused(target: str) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route=ROUTE) as proxy:
        async with ScriptedClient(proxy.port) as client:
            response = await client.request(get("PATH").replace(b"PATH", target.encode(), 1))
        await proxy.until_quiet()
        assert response.status == 400
        assert upstream.byte_count == 0
        assert [record["decision"] for record in proxy.records()] == ["deny"]


@pytest.mark.parametrize("octet", [*range(0x21), 0x7F, 0x80, 0xA0, 0xFF], ids=hex)
async def test_a_byte_that_is_no_printable_ascii_is_refused(octet: int) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route=ROUTE) as proxy:
        data = get("/open/aPLACEb").replace(b"PLACE", bytes([octet]), 1)
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(data)).status == 400
        await proxy.until_quiet()
        assert upstream.byte_count == 0


FORWARDED = {
    "/open/a": "/open/a",
    "/open/a?b=c&d=/../e//f;g": "/open/a?b=c&d=/../e//f;g",
    "/open/%41": "/open/A",
    "/open/%7euser": "/open/~user",
    "/open/caf%c3%a9": "/open/caf%C3%A9",
    "/open/a%20b": "/open/a%20b",
    "/open/a:b@c": "/open/a:b@c",
    "http://api.example.com/open/a?b": "/open/a?b",
    "HTTP://API.EXAMPLE.COM/open/a": "/open/a",
    "/open/a?access_token=eyJ": "/open/a?access_token=eyJ",
}


@pytest.mark.parametrize(("sent", "received"), FORWARDED.items())
async def test_what_the_policy_saw_is_what_the_upstream_receives(sent: str, received: str) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route=ROUTE) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get("PATH").replace(b"PATH", sent.encode(), 1))).status == 200
        assert upstream.requests[0].startswith(f"GET {received} HTTP/1.1\r\nHost: {HOST}\r\n".encode())
        assert proxy.records("decision")[0]["path"] == received.partition("?")[0]


UNROUTED = ("/", "/secret", "/OPEN/a", "/opened/a", "/.rolegate/x", "/open%2fa")


@pytest.mark.parametrize("path", UNROUTED)
async def test_what_no_route_names_stays_here(path: str) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route=ROUTE) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get(path))).status in {400, 404}
        await proxy.until_quiet()
        assert upstream.byte_count == 0
        assert len(proxy.records()) == 1


async def test_our_own_prefix_reaches_no_upstream_even_if_a_route_covers_it() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        await record_of_refused(
            proxy, upstream, get("/.rolegate/x"), status=404, reason="no-route", stays_open=True
        )


async def test_a_route_may_opt_in_to_encoded_slashes() -> None:
    route = {"match": {"paths": ["/projects/*/files"]}, "encoded_slashes": True}
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route=route) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get("/projects/a%2fb/files"))).status == 200
            assert (await client.request(get("/projects/a/b/files"))).status == 404
            assert (await client.request(get("/projects/..%2fb/files"))).status == 400
        assert [line.split(b" ")[1] for line in upstream.requests] == [b"/projects/a%2Fb/files"]


async def test_a_query_is_on_no_record() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route=ROUTE) as proxy:
        async with ScriptedClient(proxy.port) as client:
            for path in (
                "/open/a?token=secret-value",
                "/open/../a?token=secret-value",
                "/x?token=secret-value",
            ):
                await client.request(get(path))
        await proxy.until_quiet()
        assert len(proxy.records("decision")) == 3
        assert b"secret-value" not in proxy.audit_path.read_bytes()


async def test_a_refused_target_is_recorded_without_its_token() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.request(b"GET /\x01 HTTP/1.1\r\nHost: a\r\n" + bearer() + b"\r\n")
        await proxy.until_quiet()
        assert b"eyJ" not in proxy.audit_path.read_bytes()
