"""A flood of bad tokens beside good requests: refused cheaply, and nobody else notices."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import yaml

from proxy.identify.turnstile import Turnstile
from proxy.model.decision import Reason
from proxy.pipeline import Exchange
from proxy.settings.load import load
from tests.kit.local_proxy import HOST, LocalProxy, get, token, until
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient

CROWD = 60


def with_token(presented: str, client: str = "198.51.100.1") -> bytes:
    lines = f"Host: {HOST}\r\nX-Forwarded-For: {client}\r\nAuthorization: Bearer {presented}"
    return f"GET / HTTP/1.1\r\n{lines}\r\n\r\n".encode()


def forged(number: int) -> str:
    return token(f"forged-{number}")[:-6] + "AAAAAA"


@asynccontextmanager
async def clients(proxy: LocalProxy, count: int) -> AsyncIterator[list[ScriptedClient]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(ScriptedClient(proxy.port)) for _ in range(count)]


def let_nobody_through(proxy: LocalProxy) -> Turnstile:
    """Return the turnstile at which every unknown token waits from now on."""
    turnstile = proxy.proxy.resolver.turnstile = Turnstile(0)
    return turnstile


def let_through(turnstile: Turnstile) -> None:
    """Let those who wait have their turn after all."""
    turnstile._misses_per_turn = 2
    turnstile._turn_soon()


def count_of_exchanges() -> int:
    return sum(isinstance(one, Exchange) for one in gc.get_objects())


def bad_tokens(count: int) -> list[str]:
    """Return tokens of every kind of badness, each another one."""
    now = int(time.time())
    kinds: list[Callable[[int], str]] = [
        forged,
        lambda number: token(f"expired-{number}", exp=now - 3600, iat=now - 7200),
        lambda number: token(f"foreign-{number}", iss="https://elsewhere.example.com"),
        lambda number: f"not.a.token-{number}",
    ]
    return [kinds[number % len(kinds)](number) for number in range(count)]


async def test_good_requests_are_all_answered_and_each_bad_token_is_looked_at_once() -> None:
    distinct, rounds, good = bad_tokens(40), 25, 200
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:

        async def flood(start: int) -> list[int]:
            mine, statuses = distinct[start::4], []
            async with ScriptedClient(proxy.port) as client:
                for _ in range(rounds):
                    statuses += [(await client.request(with_token(one))).status for one in mine]
            return statuses

        async def work() -> list[int]:
            async with ScriptedClient(proxy.port) as client:
                return [(await client.request(get())).status for _ in range(good)]

        *refused, answered = await asyncio.gather(*(flood(start) for start in range(4)), work())
        assert answered == [200] * good
        assert {status for row in refused for status in row} == {401}
        assert len(upstream.requests) == good
        resolver = proxy.proxy.resolver
        assert resolver.verifications == len(distinct) + 1
        assert resolver.failures.hits == len(distinct) * (rounds - 1)
        await proxy.until_quiet()
        assert len(proxy.records("decision")) == good + len(distinct) * rounds


async def test_no_flood_of_bad_tokens_pushes_out_a_good_one() -> None:
    async with RecordingUpstream() as upstream:
        proxy = LocalProxy(upstream.url)
        proxy.configuration["token_cache"] = {"max_entries": 3, "failures": {"max_entries": 5}}
        async with proxy, ScriptedClient(proxy.port) as client:
            assert (await client.request(get())).status == 200
            for one in bad_tokens(40):
                assert (await client.request(with_token(one))).status == 401
            resolver = proxy.proxy.resolver
            before = resolver.verifications
            assert (await client.request(get())).status == 200
            assert resolver.verifications == before
            assert len(resolver.failures) == 5


async def test_what_says_itself_that_it_has_expired_meets_no_signature_check() -> None:
    """Neither signature nor key are good, and nobody finds out."""
    now = int(time.time())
    old = token("old", exp=now - 3600, iat=now - 7200)[:-6] + "AAAAAA"
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        response = await client.request(with_token(old))
        assert response.status == 401
        assert Reason.TOKEN_EXPIRED.value.encode() in response.body


@pytest.mark.parametrize(
    ("is_known", "client"), [(True, "2001:db8::1"), (False, "203.0.113.5")], ids=["known", "new client"]
)
async def test_a_good_request_does_not_wait_for_those_before_it_to_be_refused(
    is_known: bool, client: str
) -> None:
    """What is decided first is on record first."""
    good = with_token(token("good"), client)
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"trusted_proxies": ["127.0.0.1/32"]}) as proxy,
        ScriptedClient(proxy.port) as asking,
        clients(proxy, CROWD) as crowd,
    ):
        if is_known:
            await asking.request(good)
        before = len(proxy.records("decision"))
        for number, flooding in enumerate(crowd):
            # One network of IPv6 is one client, whatever its addresses.
            flooding.writer.write(with_token(forged(number), f"2001:db8::{number:x}"))
        response = await asking.request(good)
        assert response.status == 200
        assert {(await flooding.read_response()).status for flooding in crowd} == {401}
        await proxy.until_quiet()
        decided = [record["decision"] == "allow" for record in proxy.records("decision")[before:]]
        assert len(decided) == CROWD + 1
        assert decided.index(True) < CROWD / 2
        assert len(upstream.requests) == 1 + is_known


async def test_while_unknown_tokens_wait_known_ones_are_answered() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
        ScriptedClient(proxy.port) as stranger,
    ):
        good, bad = with_token(token("known")), with_token(forged(0))
        assert (await client.request(good)).status == 200
        assert (await client.request(bad)).status == 401
        turnstile = let_nobody_through(proxy)
        await stranger.send(with_token(forged(1)))
        await until(lambda: turnstile.waited == 1, what="the wait")
        for _ in range(3):
            assert (await client.request(good)).status == 200
            assert (await client.request(bad)).status == 401
        assert turnstile.waited == 1
        assert proxy.in_flight == 1


async def all_wait(proxy: LocalProxy, crowd: list[ScriptedClient]) -> Turnstile:
    """Let everybody wait with a token of its own that is good."""
    turnstile = let_nobody_through(proxy)
    for number, client in enumerate(crowd):
        await client.send(with_token(token(f"new-{number}")))
    await until(lambda: turnstile.waited == len(crowd), what="the wait")
    return turnstile


async def all_leave(proxy: LocalProxy, crowd: list[ScriptedClient], tasks: int) -> None:
    """Return when everybody has left, and `tasks` are all that run."""
    for client in crowd:
        client.reset()
    await proxy.until_quiet()
    await until(lambda: len(proxy.proxy._tasks) == tasks, what="the end of the tasks")


async def test_who_leaves_while_waiting_is_not_waited_for() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        clients(proxy, CROWD) as crowd,
    ):
        tasks = len(proxy.proxy._tasks)
        turnstile = await all_wait(proxy, crowd)
        await all_leave(proxy, crowd, tasks)
        assert proxy.reasons == [("decision", "client-gone")] * CROWD
        assert turnstile._queues == {}
        assert proxy.proxy.resolver.verifications == 0
        assert upstream.byte_count == 0


async def test_who_left_while_waiting_is_let_go_and_does_not_wait_for_the_collector() -> None:
    """What a cancelled task raised holds on to its frames; with an early body that is a lot to keep."""
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        clients(proxy, CROWD) as crowd,
    ):
        tasks = len(proxy.proxy._tasks)
        gc.collect()
        gc.disable()
        try:
            await all_wait(proxy, crowd)
            assert count_of_exchanges() == CROWD
            await all_leave(proxy, crowd, tasks)
            await asyncio.sleep(0.05)
            assert count_of_exchanges() == 0
        finally:
            gc.enable()


async def test_a_turn_that_does_not_come_is_a_503_that_nobody_remembers() -> None:
    new = with_token(token("new"))
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        proxy.proxy.resolver.turnstile = Turnstile(0, patience_s=0.05)
        response = await client.request(new)
        assert (response.status, response.header("Retry-After")) == (503, "1")
        await proxy.until_quiet()
        assert proxy.reasons == [("decision", "overloaded")]
        assert upstream.byte_count == 0
        proxy.proxy.resolver.turnstile = Turnstile()
        assert (await client.request(new)).status == 200


async def test_a_body_that_does_not_come_ends_the_wait() -> None:
    head = (
        with_token(token("new"))
        .replace(b"GET", b"POST")
        .replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n")
    )
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"timeouts": {"body_idle": "300ms"}}) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        turnstile, tasks = let_nobody_through(proxy), len(proxy.proxy._tasks)
        assert (await client.request(head)).status == 408
        await proxy.until_quiet()
        assert proxy.reasons == [("decision", "request-timeout")]
        await until(lambda: len(proxy.proxy._tasks) == tasks, what="the end of the task")
        assert (turnstile.waited, turnstile._queues) == (1, {})
        assert upstream.byte_count == 0


async def test_a_token_that_waited_is_answered_as_any_other() -> None:
    """The turnstile makes wait and decides nothing."""
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        clients(proxy, 2 * CROWD) as crowd,
    ):
        for number, client in enumerate(crowd):
            client.writer.write(with_token(token(f"new-{number}") if number % 2 else forged(number)))
        statuses = [(await client.read_response()).status for client in crowd]
        assert statuses == [401, 200] * CROWD
        await proxy.until_quiet()
        assert proxy.proxy.resolver.waited > 0
        assert len(proxy.records("decision")) == 2 * CROWD
        assert len(proxy.records("outcome")) == len(upstream.requests) == CROWD
        seen = b"".join(upstream.requests)
        for number in range(1, 2 * CROWD, 2):
            assert seen.count(f"\r\nX-Rolegate-Subject: new-{number}\r\n".encode()) == 1


@pytest.mark.interpreted
async def test_a_fault_while_a_token_is_looked_at_in_its_turn_is_a_recorded_no(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url) as proxy,
        clients(proxy, 5) as crowd,
    ):
        turnstile = await all_wait(proxy, crowd)
        monkeypatch.setattr("proxy.identify.resolver.Resolver._verify", fail)
        let_through(turnstile)
        assert {(await client.read_response()).status for client in crowd} == {500}
        await proxy.until_quiet()
        assert proxy.reasons == [("decision", "internal-error")] * 5
        assert upstream.byte_count == 0


async def test_who_waits_across_a_reload_keeps_the_configuration_it_came_with() -> None:
    async with (
        RecordingUpstream() as before,
        RecordingUpstream() as after,
        LocalProxy(before.url) as proxy,
        clients(proxy, 5) as crowd,
        ScriptedClient(proxy.port) as newcomer,
    ):
        turnstile = await all_wait(proxy, crowd)
        proxy.configuration["upstreams"] = {"api": {"url": after.url}}
        path = proxy.folder / "next.yaml"
        path.write_text(yaml.safe_dump(proxy.configuration))
        await proxy.proxy.reload(load(path))
        assert (await newcomer.request(with_token(token("newcomer")))).status == 200
        let_through(turnstile)
        assert [(await client.read_response()).status for client in crowd] == [200] * 5
        assert (len(before.requests), len(after.requests)) == (5, 1)
        await proxy.until_quiet()
        assert len(proxy.records("decision")) == len(proxy.records("outcome")) == 6
