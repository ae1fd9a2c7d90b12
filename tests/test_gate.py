"""Who is it, and may they: the order in which the gate answers."""

import time
from dataclasses import replace

import pytest

from proxy.gate import find_passage, judge, judge_slowly
from proxy.live import Live
from proxy.model.credential import Credential
from proxy.model.decision import DENIALS, Decision, Reason
from proxy.model.identity import Identity
from proxy.model.request import Request
from tests.kit.local_proxy import LocalProxy, get, token
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient


def a_request(path: str, *, has_encoded_slash: bool = False, certificate: str | None = None) -> Request:
    return Request(
        method="GET",
        host="api.example.com",
        path=path,
        authority=b"api.example.com",
        target=path.encode(),
        has_encoded_slash=has_encoded_slash,
        credential=None,
        client="127.0.0.1",
        certificate=certificate,
    )


async def with_live(check) -> None:  # type: ignore[no-untyped-def]  # a callback of the tests below
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get())).status == 200
        await check(proxy.proxy.environment.holder.current)


async def test_nobody_without_a_credential_learns_which_routes_exist() -> None:
    async def check(live: Live) -> None:
        for path in ("/a", "/.rolegate/a"):
            passage = find_passage(live, a_request(path))
            decision = judge(passage, None, a_request(path), 0.0)
            assert decision.reason is Reason.CREDENTIAL_MISSING

    await with_live(check)


async def test_our_own_prefix_leads_to_no_passage() -> None:
    async def check(live: Live) -> None:
        assert find_passage(live, a_request("/.rolegate/a")) is None
        assert find_passage(live, a_request("/.rolegated/a")) is not None

    await with_live(check)


async def test_an_encoded_slash_is_refused_before_anything_else() -> None:
    async def check(live: Live) -> None:
        request = a_request("/public/a%2Fb", has_encoded_slash=True)
        passage = find_passage(live, request)
        assert passage is not None
        assert judge(passage, None, request, 0.0).reason is Reason.AMBIGUOUS_PATH
        assert judge(None, None, request, 0.0).reason is Reason.AMBIGUOUS_PATH

    await with_live(check)


class Broken:
    """A source of identities that fails, or refuses."""

    def __init__(self, answer: Exception | Decision) -> None:
        self.answer = answer

    def recall(self, credential: Credential, now: float) -> Identity | Decision | None:
        return None

    def remember(self, credential: Credential, found: Identity | Decision, now: float) -> None:
        raise NotImplementedError

    def find(self, unverified_token: bytes, now: float) -> Identity | Decision | None:
        return None

    async def fetch(self, unverified_token: bytes, client: str, now: object) -> Identity | Decision:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ZeroDivisionError(), Reason.INTERNAL_ERROR),
        (DENIALS[Reason.KEYS_UNAVAILABLE], Reason.KEYS_UNAVAILABLE),
    ],
)
async def test_what_cannot_be_answered_is_a_no(answer: Exception | Decision, reason: Reason) -> None:
    async def check(live: Live) -> None:
        broken = Live(
            routes=live.routes,
            identities=Broken(answer),
            policy_version=live.policy_version,
            request_headers=live.request_headers,
            request_id_header=live.request_id_header,
            unrouted_counts=live.unrouted_counts,
        )
        request = a_request("/a")
        identity, decision = await judge_slowly(broken, find_passage(broken, request), request, b"token")
        assert identity is None
        assert (decision.allowed, decision.reason) == (False, reason)

    await with_live(check)


async def test_a_bound_token_is_judged_on_every_request_and_before_any_route() -> None:
    async def check(live: Live) -> None:
        unbound = live.identities.find(token().encode(), time.time())
        assert isinstance(unbound, Identity)
        bound = replace(unbound, certificate="right")
        for path in ("/a", "/public/a", "/.rolegate/a"):
            for certificate in (None, "", "wrong"):
                request = a_request(path, certificate=certificate)
                passage = find_passage(live, request)
                assert judge(passage, bound, request, 0.0) is DENIALS[Reason.TOKEN_BOUND]
                assert judge(passage, unbound, request, 0.0).reason is not Reason.TOKEN_BOUND
            request = a_request(path, certificate="right")
            passage = find_passage(live, request)
            assert judge(passage, bound, request, 0.0) == judge(passage, unbound, request, 0.0)

    await with_live(check)
