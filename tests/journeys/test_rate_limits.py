"""Rate limits and places in flight, over the wire: who is refused, and what the upstream sees."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.journeys.trail import configuration
from tests.kit.local_proxy import HOST, LocalProxy, get, request, until
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream
from tests.kit.scripted import Response, ScriptedClient
from tests.workers.crew import SERVES, Crew


class LimitedProxy(LocalProxy):
    """A proxy with rate limits; they come back so slowly that no test is long enough to see it."""

    def __init__(
        self,
        upstream_url: str,
        limits: Mapping[str, Mapping[str, object]],
        *,
        listen: Mapping[str, object] | None = None,
        route: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(upstream_url, listen=listen, route=route)
        self.configuration["rate_limits"] = {
            name: {"rate": "1/1h", "burst": 2, **limit} for name, limit in limits.items()
        }


async def statuses(proxy: LocalProxy, *requests: bytes) -> list[int]:
    async with ScriptedClient(proxy.port) as client:
        return [(await client.request(data)).status for data in requests]


def anonymous(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def forged(subject: str = "service-7") -> bytes:
    return get("/", subject=subject).replace(b"\r\n\r\n", b"x\r\n\r\n", 1)


FEW = {"few": {"per": "identity"}}


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_at_below_and_above_a_limit_per_identity(count: int) -> None:
    async with (
        RecordingUpstream() as upstream,
        LimitedProxy(upstream.url, FEW, route={"rate_limits": ["few"]}) as proxy,
    ):
        assert await statuses(proxy, *[get()] * count) == [200] * min(count, 2) + [429] * max(0, count - 2)
        # Another identity has its own.
        assert await statuses(proxy, get(subject="service-8")) == [200]
        assert len(upstream.requests) == min(count, 2) + 1


async def test_a_refusal_says_when_to_come_back_and_is_on_record() -> None:
    async with (
        RecordingUpstream() as upstream,
        LimitedProxy(upstream.url, FEW, route={"rate_limits": ["few"]}) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        answers: list[Response] = [await client.request(get()) for _ in range(3)]
        assert [answer.header("RateLimit") for answer in answers] == [
            '"few";r=1;t=3600',
            '"few";r=0;t=7200',
            '"few";r=0;t=7200',
        ]
        assert {answer.header("RateLimit-Policy") for answer in answers} == {'"few";q=2;w=7200'}
        assert [answer.header("Retry-After") for answer in answers] == [None, None, "3600"]
        assert b'"reason":"rate-limited"' in answers[2].body
        # The connection goes on: whoever is patient need not connect anew.
        assert (await client.request(get("/", subject="service-8"))).status == 200
        await proxy.until_quiet()
        record = proxy.records("decision")[2]
        assert (record["decision"], record["reason"], record["rule"]) == (
            *("deny", "rate-limited"),
            "rate_limits.few",
        )
        assert record["subject"] == "service-7"
        assert proxy.reasons.count(("outcome", "completed")) == 3


async def test_an_unauthenticated_flood_uses_up_nobodys_budget() -> None:
    """Neither without a token, nor with one of that subject that is not signed, nor one without the role."""
    limits = {"few": {"per": "identity"}, "all": {"per": "route"}}
    async with (
        RecordingUpstream() as upstream,
        LimitedProxy(upstream.url, limits, route={"rate_limits": ["few", "all"]}) as proxy,
    ):
        assert await statuses(proxy, *[anonymous("/")] * 5, *[forged()] * 5) == [401] * 10
        assert await statuses(proxy, get(), get(), get()) == [200, 200, 429]
        assert len(upstream.requests) == 2


async def test_a_limit_of_the_door_comes_before_the_token_and_before_the_route() -> None:
    limits = {"door": {"per": "client", "burst": 3}}
    async with (
        RecordingUpstream() as upstream,
        LimitedProxy(upstream.url, limits, listen={"rate_limits": ["door"]}) as proxy,
    ):
        assert await statuses(proxy, anonymous("/"), forged(), get("/.rolegate/x")) == [401, 401, 404]
        verifications = proxy.proxy.resolver.verifications
        assert await statuses(proxy, get(), forged("service-8"), anonymous("/public/a")) == [429] * 3
        assert proxy.proxy.resolver.verifications == verifications
        assert upstream.byte_count == 0
        await proxy.until_quiet()
        last = proxy.records()[-1]
        assert (last["reason"], last["rule"], last["route"]) == ("rate-limited", "rate_limits.door", None)
        assert await statuses(proxy, get()) == [429]


async def test_the_client_is_the_one_behind_a_trusted_proxy() -> None:
    limits = {"door": {"per": "client", "burst": 1}}
    listen = {"rate_limits": ["door"], "trusted_proxies": ["127.0.0.1/32"]}
    async with RecordingUpstream() as upstream, LimitedProxy(upstream.url, limits, listen=listen) as proxy:
        one, two = (get("/", b"X-Forwarded-For: 192.0.2.%d" % number) for number in (1, 2))
        assert await statuses(proxy, one, two, one, two) == [200, 200, 429, 429]


async def test_a_forwarded_address_that_nobody_vouches_for_is_no_new_client() -> None:
    limits = {"door": {"per": "client", "burst": 1}}
    async with (
        RecordingUpstream() as upstream,
        LimitedProxy(upstream.url, limits, listen={"rate_limits": ["door"]}) as proxy,
    ):
        one, two = (get("/", b"X-Forwarded-For: 192.0.2.%d" % number) for number in (1, 2))
        assert await statuses(proxy, one, two) == [200, 429]


async def test_a_body_that_is_too_large_uses_up_no_budget() -> None:
    route = {"rate_limits": ["few"], "max_body": 10}
    async with RecordingUpstream() as upstream, LimitedProxy(upstream.url, FEW, route=route) as proxy:
        for _ in range(3):
            assert await statuses(proxy, request("POST", "/", body=b"x" * 11)) == [413]
        assert await statuses(proxy, get(), get(), get()) == [200, 200, 429]


async def test_a_limit_of_a_public_route_counts_clients() -> None:
    async with (
        RecordingUpstream() as upstream,
        LimitedProxy(upstream.url, {"few": {"per": "client"}}) as proxy,
    ):
        await proxy.stop()
        routes = proxy.configuration["routes"]
        assert isinstance(routes, list)
        routes[1]["rate_limits"] = ["few"]
        proxy._is_stopped = False
        await proxy.start()
        path = anonymous("/public/a")
        assert await statuses(proxy, path, path, path) == [200, 200, 429]
        assert await statuses(proxy, get()) == [200]


@pytest.mark.parametrize("count", [2, 3, 4])
async def test_requests_in_flight_on_a_route(count: int) -> None:
    release = asyncio.Event()

    async def slow(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await release.wait()
            await connection.write(OK)

    async with (
        RecordingUpstream(slow) as upstream,
        LocalProxy(upstream.url, route={"max_in_flight": 3}) as proxy,
    ):
        clients = [await ScriptedClient(proxy.port).connect() for _ in range(count)]
        for client in clients[:3]:
            await client.send(get())
        await until(lambda: len(upstream.requests) == min(count, 3), what="the requests")
        for client in clients[3:]:
            answer = await client.request(get())
            assert (answer.status, answer.header("Retry-After")) == (503, "1")
            assert b'"reason":"overloaded"' in answer.body
        # Other routes are not concerned.
        release.set()
        for client in clients[:3]:
            assert (await client.read_response()).status == 200
        assert len(upstream.requests) == min(count, 3)
        await proxy.until_quiet()
        assert await statuses(proxy, get()) == [200]
        for client in clients:
            await client.close()
        places = dict(proxy.proxy.admissions.places())["api"]
        assert (places.in_flight, places.shed) == (0, max(0, count - 3))
        denied = [record for record in proxy.records("decision") if record["decision"] == "deny"]
        assert {record["rule"] for record in denied} <= {"api.max_in_flight"}


@pytest.mark.parametrize("how", ["client leaves", "upstream resets", "no connection", "too large"])
async def test_a_place_is_given_back_however_the_request_ends(how: str) -> None:
    async def fickle(connection: RecordedConnection) -> None:
        await connection.read()
        if how == "upstream resets":
            connection.writer.transport.abort()
        else:
            await asyncio.sleep(5)

    route = {"max_in_flight": 1, "max_body": 10}
    async with RecordingUpstream(fickle) as upstream:
        url = "http://127.0.0.1:1" if how == "no connection" else upstream.url
        async with LocalProxy(url, route=route) as proxy:
            for _ in range(3):
                async with ScriptedClient(proxy.port) as client:
                    if how == "too large":
                        head = request("POST", "/", b"Transfer-Encoding: chunked")
                        await client.send(head + b"9\r\n123456789\r\n")
                        await until(lambda: proxy.in_flight == 1, what="the request")
                        await client.send(b"9\r\n123456789\r\n")
                        assert (await client.read_response()).status == 413
                    else:
                        await client.send(get())
                    if how == "client leaves":
                        await until(lambda: upstream.open_count > 0, what="the request")
                    elif how != "too large":
                        assert (await client.read_response()).status == 502
                await proxy.until_quiet()
                assert dict(proxy.proxy.admissions.places())["api"].in_flight == 0
            assert dict(proxy.proxy.admissions.places())["api"].shed == 0


async def test_two_workers_count_in_one_table(tmp_path: Path) -> None:
    """A limit holds for all of them together, after the one who counted has died, and after a reload."""
    limits = {"few": {"per": "identity", "rate": "1/1h", "burst": 10}}
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path, rate_limits=limits)
        routes = config["routes"]
        assert isinstance(routes, list)
        routes[0]["rate_limits"] = ["few"]
        async with Crew(config) as crew, AsyncExitStack() as stack:
            clients = await one_for_each_worker(crew, stack)
            answers = [await client.request(get("/a")) for _ in range(8) for client in clients]
            allowed = [response for response in answers if response.status == 200]
            assert [response.status for response in answers] == [200] * 10 + [429] * 6
            # Whoever answers knows what the other one let through.
            left = [response.header("RateLimit") or "" for response in allowed]
            assert [line.split(";")[1] for line in left] == [f"r={count}" for count in range(9, -1, -1)]
            assert len(upstream.requests) == 10
            assert {len(decided(crew, number, "allowed")) for number in range(2)} == {5}
            # The other identity has its own budget, and it is one budget, too.
            others = [
                await client.request(get("/a", subject="other")) for _ in range(6) for client in clients
            ]
            assert [response.status for response in others].count(200) == 10

            os.kill(crew.pids()[0], signal.SIGKILL)
            await until(lambda: len(SERVES.findall(crew.log_text())) == 3, what="its successor", timeout_s=30)
            crew.send_signal(signal.SIGHUP)
            await until(lambda: "reloaded `" in crew.log_text(), what="the reload", timeout_s=30)
            for client in await one_for_each_worker(crew, stack):
                assert (await client.request(get("/a"))).status == 429
            assert len(upstream.requests) == 20


async def one_for_each_worker(crew: Crew, stack: AsyncExitStack) -> list[ScriptedClient]:
    """Return a connection to each of two workers; the kernel chooses, and a request without a token tells."""
    found: dict[int, ScriptedClient] = {}
    while len(found) < 2:
        client = await stack.enter_async_context(ScriptedClient(crew.port))
        before = [len(decided(crew, number, "credential-missing")) for number in range(2)]
        assert (await client.request(anonymous("/a"))).status == 401
        [number] = [at for at in range(2) if len(decided(crew, at, "credential-missing")) > before[at]]
        found.setdefault(number, client)
    return [found[0], found[1]]


def decided(crew: Crew, number: int, reason: str) -> list[dict[str, object]]:
    """Return the decisions of one worker that have this reason."""
    records = crew.chain(number)
    return [record for record in records if (record["kind"], record["reason"]) == ("decision", reason)]
