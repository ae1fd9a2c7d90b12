"""A flood of bad tokens beside good requests: refused cheaply, and nobody else notices."""

import asyncio
import time

from proxy.model.decision import Reason
from tests.kit.local_proxy import HOST, LocalProxy, get, token
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient


def with_token(presented: str) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {presented}\r\n\r\n".encode()


def bad_tokens(count: int) -> list[str]:
    """Return tokens of every kind of badness, each another one."""
    now = int(time.time())
    kinds = [
        lambda number: token(f"forged-{number}")[:-6] + "AAAAAA",
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
