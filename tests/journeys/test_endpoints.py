"""Upstreams with several endpoints, as an operator and a caller meet them."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.local_proxy import LocalProxy, get, request, until
from tests.kit.nginx import API_BODY, Nginx
from tests.kit.ports import free_port
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream, Script
from tests.kit.scripted import ScriptedClient

CLIENTS = 16


def several(*urls: str, **settings: object) -> dict[str, object]:
    """Return the settings of an upstream with several endpoints."""
    return {"url": None, "urls": list(urls), **settings}


class Load:
    """Clients that ask one after the other and count what they get."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.statuses: Counter[int] = Counter()
        self.is_over = False

    async def run(self) -> None:
        while not self.is_over:
            async with ScriptedClient(self.port) as client:
                while not self.is_over:
                    response = await client.request(get("/api/"))
                    assert response.body == API_BODY.encode() or response.status != 200
                    self.statuses[response.status] += 1
                    if response.header("Connection") == "close":
                        break


@pytest.mark.component("nginx")
async def test_one_of_three_dies_and_comes_back_and_no_get_fails() -> None:
    with Nginx() as first, Nginx() as second, Nginx() as third:
        settings = several(first.url, second.url, third.url, ejection={"after": 3, "time": "500ms"})
        async with LocalProxy("", upstream=settings) as proxy:
            load = Load(proxy.port)
            standing = proxy.proxy.pools["api"].pools[1].standing
            assert standing is not None
            async with asyncio.TaskGroup() as group:
                for _ in range(CLIENTS):
                    group.create_task(load.run())
                await until(lambda: load.statuses[200] > 300, what="responses of all three", timeout_s=20)
                await asyncio.to_thread(second.kill)
                await until(lambda: standing.ejections >= 1, what="the ejection", timeout_s=20)
                so_far = load.statuses[200]
                await until(lambda: load.statuses[200] > so_far + 300, what="responses of two", timeout_s=20)
                await asyncio.to_thread(second.start)
                await until(lambda: standing.state == "good", what="the return", timeout_s=30)
                so_far = load.statuses[200]
                await until(
                    lambda: load.statuses[200] > so_far + 300, what="responses of three", timeout_s=20
                )
                load.is_over = True
            await proxy.until_quiet()
            assert set(load.statuses) == {200}
            outcomes = proxy.records("outcome")
            assert {record["reason"] for record in outcomes} == {"completed"}
            assert len({record["request_id"] for record in outcomes}) == len(outcomes) == load.statuses[200]
            assert len(proxy.records("decision")) == len(outcomes)
            assert max(record.get("attempts", 1) for record in outcomes) >= 2
            after = {record["upstream"] for record in outcomes[-100:]}
            assert f"127.0.0.1:{second.port}" in after


@pytest.mark.component("nginx")
async def test_an_unhealthy_endpoint_gets_nothing() -> None:
    health = {"path": "/status/404", "interval": "50ms", "unhealthy_after": 1, "healthy_after": 1}
    # nginx has no such page; the recorder answers everything with 200.
    async with (
        Nginx() as nginx,
        RecordingUpstream() as good,
        LocalProxy("", upstream=several(nginx.url, good.url, health=health)) as proxy,
    ):
        standing = proxy.proxy.pools["api"].pools[0].standing
        assert standing is not None
        await until(lambda: standing.state == "unhealthy", what="the checks")
        async with ScriptedClient(proxy.port) as client:
            for _ in range(4):
                assert (await client.request(get("/a"))).body == b"ok"
        upstreams = {record["upstream"] for record in proxy.records("outcome")}
        assert upstreams == {f"127.0.0.1:{good.port}"}


def once_then_gone(answer: bytes = OK) -> Script:
    """Return the script that answers one request and resets on the next."""

    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(answer)
        await connection.request()
        connection.reset()

    return script


async def test_a_stale_connection_is_nobodys_business() -> None:
    """One decision, one outcome, the same bytes twice to the upstream, one good answer."""
    async with (
        RecordingUpstream(once_then_gone()) as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        for path in ("/a", "/b"):
            assert (await client.request(get(path))).status == 200
        await proxy.until_quiet()
        first, again = upstream.requests[1:]
        assert first == again
        assert first.startswith(b"GET /b ")
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "completed")] * 2
        last = proxy.records("outcome")[-1]
        address = f"127.0.0.1:{upstream.port}"
        assert (last["attempts"], last["failed_upstreams"], last["upstream"]) == (2, [address], address)
        assert "attempts" not in proxy.records("outcome")[0]


@pytest.mark.parametrize(
    ("method", "size", "status"),
    [
        ("PUT", 1, 200),
        ("PUT", 60_000, 200),
        ("PUT", 200_000, 502),
        ("DELETE", 10, 200),
        ("POST", 1, 502),
        ("PATCH", 1, 502),
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_is_sent_again_if_it_is_small_and_the_method_allows(
    method: str, size: int, status: int, is_chunked: bool
) -> None:
    body = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    data = request(method, "/b", body=body)
    if is_chunked:
        data = request(method, "/b", b"Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
    async with (
        RecordingUpstream(once_then_gone()) as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(get("/a"))).status == 200
        assert (await client.request(data, split_at=len(data) - size // 2 - 1)).status == status
        await proxy.until_quiet()
        sent = [one for one in upstream.requests if b" /b " in one[:20]]
        assert len(sent) == (2 if status == 200 else 1)
        assert len(set(sent)) == 1
        outcome = proxy.records("outcome")[-1]
        assert (outcome["bytes_in"], outcome.get("attempts", 1)) == (size, 2 if status == 200 else 1)


async def test_an_interim_response_ends_the_time_for_retries() -> None:
    async def hint_and_leave(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await asyncio.sleep(0.02)
        connection.reset()

    async with (
        RecordingUpstream(hint_and_leave) as one,
        RecordingUpstream() as two,
        LocalProxy("", upstream=several(one.url, two.url)) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(get("/a"))
        assert (await client.read_response()).status == 103
        assert (await client.read_response()).status == 502
        assert two.byte_count == 0


async def test_half_a_response_is_never_begun_again() -> None:
    async def half(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(OK[:-1])
        await asyncio.sleep(0.02)
        connection.reset()

    async with (
        RecordingUpstream(half) as one,
        RecordingUpstream() as two,
        LocalProxy("", upstream=several(one.url, two.url)) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(get("/a"))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.read_response()
        await proxy.until_quiet()
        assert two.byte_count == 0
        assert proxy.reasons[-1] == ("outcome", "upstream-reset")


async def test_a_post_whose_endpoint_is_not_there_is_answered_by_another() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy("", upstream=several(f"http://127.0.0.1:{free_port()}", upstream.url)) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        assert (await client.request(request("POST", "/a", body=b"x" * 100_000))).status == 200
        assert upstream.requests[0].endswith(b"x" * 100_000)
        assert len(upstream.requests) == 1


async def test_an_identity_stays_with_its_endpoint() -> None:
    async with (
        RecordingUpstream() as one,
        RecordingUpstream() as two,
        LocalProxy("", upstream=several(one.url, two.url, balance="consistent-hash")) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        for subject in ("a", "b", "c", "d", "e", "f", "g", "h"):
            for _ in range(2):
                assert (await client.request(get("/a", subject=subject))).status == 200
            anonymous = b"GET /public/a HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
            assert (await client.request(anonymous)).status == 200
        records = {record["request_id"]: record for record in proxy.records("decision")}
        met: dict[object, set[str]] = {}
        for outcome in proxy.records("outcome"):
            met.setdefault(records[outcome["request_id"]]["subject"], set()).add(outcome["upstream"])
        assert {len(addresses) for addresses in met.values()} == {1}
        assert len(set.union(*met.values())) == 2


async def test_a_socket_is_an_upstream(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        writer.write(OK)
        writer.close()

    seen: list[bytes] = []
    server = await asyncio.start_unix_server(serve, path)
    async with LocalProxy(f"unix:{path}") as proxy, ScriptedClient(proxy.port) as client:
        for _ in range(3):
            assert (await client.request(get("/a"))).body == b"ok"
        assert seen[0].startswith(b"GET /a HTTP/1.1\r\nHost: api.example.com\r\n")
        assert proxy.records("outcome")[0]["upstream"] == f"unix:{path}"
    server.close()


@pytest.mark.component("nginx")
async def test_nginx_over_tls_with_a_client_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued, ours = authority.server("localhost"), authority.client("rolegate")
    with TlsNginx(issued.certificate_file, issued.key_file, authority.ca_file, {"big": 3_000_000}) as nginx:
        tls = {"ca_file": str(authority.ca_file), "server_name": "localhost"}
        both = {**tls, "certificate_file": str(ours.certificate_file), "key_file": str(ours.key_file)}
        url = f"https://127.0.0.1:{nginx.tls_port}"
        async with LocalProxy(url, upstream={"tls": both}) as proxy, ScriptedClient(proxy.port) as client:
            for _ in range(3):
                assert (await client.request(get("/api/"))).body == API_BODY.encode()
            assert len((await client.request(get("/big"))).body) == 3_000_000
            assert (await client.request(request("PUT", "/uploads/a", body=b"u" * 500_000))).status == 201
            assert nginx.uploaded("a").stat().st_size == 500_000
            assert proxy.proxy.pools["api"].idle_count == 1
        async with LocalProxy(url, upstream={"tls": tls}) as proxy, ScriptedClient(proxy.port) as client:
            assert (await client.request(get("/api/"))).status == 400  # nginx: no certificate was sent
        wrong = {**both, "server_name": "other.internal"}
        async with LocalProxy(url, upstream={"tls": wrong}) as proxy, ScriptedClient(proxy.port) as client:
            assert (await client.request(get("/api/"))).status == 502


class TlsNginx(Nginx):
    """nginx that also speaks TLS, and wants to see a certificate."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path, files: dict[str, int]) -> None:
        super().__init__(files)
        self.tls_port = free_port()
        self._tls = (
            f"listen 127.0.0.1:{self.tls_port} ssl; "
            f"ssl_certificate {certificate}; ssl_certificate_key {key}; "
            f"ssl_verify_client on; ssl_client_certificate {client_ca};"
        )

    def _config(self) -> str:
        return super()._config().replace("        root ", f"        {self._tls}\n        root ")


async def test_a_route_has_its_own_patience() -> None:
    async def slow(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await asyncio.sleep(0.6)
            await connection.write(OK)

    settings = {"timeouts": {"response": "30s"}}
    async with (
        RecordingUpstream(slow) as upstream,
        LocalProxy(upstream.url, upstream=settings, route={"timeouts": {"response": "50ms"}}) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        anonymous = b"GET /public/a HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
        assert (await client.request(anonymous)).status == 200
        # On the very connection that the other route has just used.
        assert (await client.request(get("/a"))).status == 504
        assert (await client.request(anonymous)).status == 200


async def test_what_goes_upstream_instead_is_on_record() -> None:
    rewrite = {"strip_prefix": "/team/app", "add_prefix": "/v2"}
    route = {"match": {"paths": ["/team/app/**"]}, "rewrite": rewrite}
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, route=route) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        sent = {
            "/team/app/a?x=/team/app": b"GET /v2/a?x=/team/app HTTP/1.1",
            "/team/app": b"GET /v2 HTTP/1.1",
            "/team/app/%61%3a/": b"GET /v2/a%3A/ HTTP/1.1",
        }
        for path in sent:
            assert (await client.request(get(path))).status == 200
        assert [one.split(b"\r\n")[0] for one in upstream.requests] == list(sent.values())
        for path in ("/team/app/../x", "/team/app//x", "/team/app/%2e%2e/x", "/team/app/..;/x"):
            assert (await client.request(get(path))).status == 400
        assert len(upstream.requests) == 3
        records = proxy.records("decision")
        assert [record.get("upstream_path") for record in records[:3]] == ["/v2/a", "/v2", "/v2/a%3A/"]
        assert [record["path"] for record in records[:2]] == ["/team/app/a", "/team/app"]


async def test_a_name_that_leads_to_the_metadata_service_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def rebound(host: str) -> tuple[str, ...]:
        return ("169.254.169.254",)

    monkeypatch.setattr("proxy.forward.names.resolve", rebound)
    async with LocalProxy("http://api.internal:80") as proxy, ScriptedClient(proxy.port) as client:
        assert (await client.request(get("/latest/meta-data/"))).status == 502
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "upstream-unreachable")]


async def test_a_name_is_resolved_and_served() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(f"http://localhost:{upstream.port}") as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get("/a"))).status == 200
        assert proxy.records("outcome")[0]["upstream"] == f"localhost:{upstream.port}"
