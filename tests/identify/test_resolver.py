import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.identify.cache import TokenCache
from proxy.identify.fetch import HttpFetch
from proxy.identify.issuers import Issuer, KeyTimes
from proxy.identify.keyring import KeyRing
from proxy.identify.resolver import Resolver
from proxy.identify.turnstile import Turnstile
from proxy.model.credential import Credential
from proxy.model.decision import DENIALS, Decision, Reason
from proxy.model.identity import Identity
from proxy.tasks import TaskOwner
from tests.identify.provider import Provider, a_provider
from tests.identify.tokens import NOW, OneRole, Signer, a_builder, an_issuer, as_json, b64, good_claims
from tests.kit.clock import Clock

ONE, TWO = Signer("one"), Signer("two", number=1)
TIMES = KeyTimes(fresh_for_s=600, stale_for_s=3600, cooldown_s=30, timeout_s=1)


class Scene:
    """A resolver in front of one provider; tokens and keys share a clock."""

    def __init__(self, provider: Provider, *more: Issuer) -> None:
        self.provider = provider
        self.clock = Clock(NOW)
        self.owner = TaskOwner()
        self.http = HttpFetch()
        self.mapper = OneRole()
        issuer = an_issuer(url=provider.url, keys=TIMES)
        self.ring = KeyRing([issuer, *more], self.http, self.owner, self.clock)
        self.resolver = Resolver([issuer, *more], self.ring, TokenCache(100), a_builder(self.mapper))

    def token(self, signer: Signer = ONE, **changes: object) -> bytes:
        return signer.sign(good_claims(**{"iss": self.provider.url, **changes}))

    def find(self, token: bytes) -> Identity | Decision | None:
        return self.resolver.find(token, self.clock())

    async def fetch(self, token: bytes) -> Identity | Decision:
        return await self.resolver.fetch(token, "192.0.2.1", self.clock)

    async def close(self) -> None:
        await self.owner.close()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_provider(ONE) as provider:
        scene = Scene(provider)
        yield scene
        await scene.close()


async def test_the_first_token_of_an_issuer_waits_for_its_keys(scene: Scene) -> None:
    token = scene.token()
    assert scene.find(token) is None
    identity = await scene.fetch(token)
    assert isinstance(identity, Identity)
    assert identity.subject == "service-7"
    assert scene.find(token) is identity
    assert len(scene.mapper.asked) == 1


async def test_finding_starts_nothing(scene: Scene) -> None:
    """What is only in an unverified token makes no request; the caller decides to fetch."""
    assert scene.find(scene.token()) is None
    assert len(scene.owner) == 0
    assert scene.provider.asked == {}


async def test_a_thousand_cold_requests_make_one_fetch(scene: Scene) -> None:
    tokens = [scene.token(sub=f"s{number}") for number in range(50)]
    assert all(scene.find(token) is None for token in tokens)
    results = await asyncio.gather(*(scene.fetch(tokens[number % 50]) for number in range(1000)))
    assert all(isinstance(result, Identity) for result in results)
    assert scene.provider.fetches == 1


async def test_an_unknown_key_is_fetched_once_and_then_refused_at_once(scene: Scene) -> None:
    await scene.ring.prefetch()
    scene.clock.now += 30
    token = scene.token(TWO)
    assert scene.find(token) is None
    assert await scene.fetch(token) is DENIALS[Reason.KEY_UNKNOWN]
    assert scene.find(token) is DENIALS[Reason.KEY_UNKNOWN]
    assert await scene.fetch(token) is DENIALS[Reason.KEY_UNKNOWN]
    assert scene.provider.fetches == 2


async def test_ten_thousand_unknown_keys_make_one_fetch(scene: Scene) -> None:
    await scene.ring.prefetch()
    scene.clock.now += 30
    body = scene.token().partition(b".")[2]
    for number in range(10_000):
        header = b64(as_json({"alg": "RS256", "kid": f"unknown-{number}"}))
        token = header + b"." + body
        if scene.find(token) is None:
            await scene.fetch(token)
    assert scene.provider.fetches == 2


async def test_a_rotated_key_is_picked_up(scene: Scene) -> None:
    await scene.ring.prefetch()
    scene.provider.publish(ONE, TWO)
    scene.clock.now += 30
    assert scene.find(scene.token(TWO)) is None
    assert isinstance(await scene.fetch(scene.token(TWO)), Identity)


async def test_while_a_fetch_is_under_way_others_join_it(scene: Scene) -> None:
    await scene.ring.prefetch()
    scene.clock.now += 30
    scene.provider.publish(ONE, TWO)
    scene.provider.gate = asyncio.Event()
    first = scene.owner.spawn(scene.fetch(scene.token(TWO)), name="first")
    await asyncio.sleep(0.02)
    assert scene.find(scene.token(TWO)) is None
    second = scene.owner.spawn(scene.fetch(scene.token(TWO)), name="second")
    await asyncio.sleep(0.02)
    scene.provider.gate.set()
    assert isinstance(await first, Identity)
    assert isinstance(await second, Identity)
    assert scene.provider.fetches == 2


async def test_an_issuer_out_of_reach_is_our_failure_and_not_the_clients(scene: Scene) -> None:
    scene.provider.status = 500
    assert scene.find(scene.token()) is None
    assert await scene.fetch(scene.token()) is DENIALS[Reason.KEYS_UNAVAILABLE]
    assert scene.find(scene.token()) is DENIALS[Reason.KEYS_UNAVAILABLE]
    scene.provider.status = 200
    scene.clock.now += 1
    assert isinstance(await scene.fetch(scene.token()), Identity)


async def test_keys_that_were_all_revoked_are_unknown_keys(scene: Scene) -> None:
    scene.provider.publish()
    assert await scene.fetch(scene.token()) is DENIALS[Reason.KEY_UNKNOWN]


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (b"", Reason.TOKEN_MALFORMED),
        (b"x" * 16_385, Reason.TOKEN_TOO_LARGE),
        (b"a.b.c.d.e", Reason.TOKEN_ENCRYPTED),
        (Signer().sign(good_claims(iss="https://evil.example")), Reason.ISSUER_UNKNOWN),
        (Signer("k", "RS512").sign(good_claims()), Reason.ISSUER_UNKNOWN),
    ],
)
async def test_nothing_is_fetched_for_a_token_that_keys_cannot_save(
    scene: Scene, token: bytes, reason: Reason
) -> None:
    assert scene.find(token) is DENIALS[reason]
    assert await scene.fetch(token) is DENIALS[reason]
    assert scene.provider.asked == {}


@pytest.mark.parametrize(
    ("signer", "header", "reason"),
    [
        (Signer("k", "RS512"), {}, Reason.ALGORITHM_REFUSED),
        (ONE, {"typ": "logout+jwt"}, Reason.TYPE_REFUSED),
        (ONE, {"crit": ["x"]}, Reason.CRITICAL_HEADER),
    ],
)
async def test_nothing_is_fetched_for_a_header_that_is_refused(
    scene: Scene, signer: Signer, header: dict[str, object], reason: Reason
) -> None:
    token = signer.sign(good_claims(iss=scene.provider.url), **header)
    assert scene.find(token) is DENIALS[reason]
    assert await scene.fetch(token) is DENIALS[reason]
    assert scene.provider.asked == {}


async def test_a_cached_identity_ends_with_its_token(scene: Scene) -> None:
    await scene.ring.prefetch()
    token = scene.token(exp=NOW + 5)
    identity = scene.find(token)
    scene.clock.now += 4
    assert scene.find(token) is identity
    scene.clock.now += 1
    late = scene.find(token)
    assert isinstance(late, Identity)  # within the leeway, verified anew each time
    assert late is not identity
    assert scene.find(token) is not late
    scene.clock.now += 30
    assert scene.find(token) is DENIALS[Reason.TOKEN_EXPIRED]


async def test_a_binding_that_ends_makes_the_roles_be_found_anew(scene: Scene) -> None:
    await scene.ring.prefetch()
    token = scene.token()
    scene.mapper.until = NOW + 2
    assert isinstance(scene.find(token), Identity)
    scene.mapper.role, scene.mapper.until = "nobody", float("inf")
    scene.clock.now += 2
    identity = scene.find(token)
    assert isinstance(identity, Identity)
    assert identity.roles == {"nobody"}


async def test_other_keys_make_tokens_of_that_issuer_be_verified_anew() -> None:
    async with a_provider(ONE) as mine, a_provider(ONE) as theirs:
        other = an_issuer(alias="other", url=theirs.url, keys=TIMES)
        scene = Scene(mine, other)
        await scene.ring.prefetch()
        my_token, their_token = scene.token(), scene.token(iss=theirs.url)
        assert isinstance(scene.find(my_token), Identity)
        kept = scene.find(their_token)
        mine.publish(TWO)
        await scene.ring.refresh("idp")
        assert scene.find(my_token) is DENIALS[Reason.KEY_UNKNOWN]
        assert scene.find(their_token) is kept
        await scene.close()


async def test_in_a_long_outage_cached_tokens_end_with_the_keys(scene: Scene) -> None:
    await scene.ring.prefetch()
    token = scene.token(exp=NOW + 9999)
    assert isinstance(scene.find(token), Identity)
    scene.provider.status = 500
    scene.clock.now += 3600
    scene.ring.status()  # the background refresh looks in the same way
    assert await scene.fetch(token) is DENIALS[Reason.KEYS_UNAVAILABLE]


async def test_a_waiting_request_can_be_cancelled(scene: Scene) -> None:
    scene.provider.gate = asyncio.Event()
    waiting = scene.owner.spawn(scene.fetch(scene.token()), name="request")
    await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    scene.provider.gate.set()
    assert isinstance(await scene.fetch(scene.token()), Identity)
    assert scene.provider.fetches == 1


async def test_the_explanation_names_each_check_and_the_first_that_fails(scene: Scene) -> None:
    await scene.ring.prefetch()
    lines = scene.resolver.explain_refusal(scene.token(), NOW)
    assert lines[0] == "ok: the token is not too long"
    assert lines[-2] == "ok: it is for `https://api.example.com`"
    assert lines[-1] == "ok: it speaks of <Identity idp:service-7 human roles=['reader']>"
    assert all(line.startswith("ok: ") for line in lines)
    expired = scene.resolver.explain_refusal(scene.token(), NOW + 1000)
    assert expired[-1] == "no: it has not expired by its own words: expired 700 s ago (token-expired)"
    elsewhere = scene.resolver.explain_refusal(scene.token(aud=["them", "x\n"]), NOW)
    assert elsewhere[-2] == (
        "no: it is for us: `aud` is `them`, `'x\\n'`, expected `https://api.example.com` "
        "(audience-mismatch, unless the route names it)"
    )
    assert scene.resolver.explain_refusal(b"x", NOW)[-1] == (
        "no: it is a signed token in compact form: a token has three parts, this one 1 (token-malformed)"
    )


async def test_the_explanation_does_not_repeat_the_token(scene: Scene) -> None:
    await scene.ring.prefetch()
    token = scene.token(TWO)
    for segment in token.decode().split("."):
        assert segment not in "\n".join(scene.resolver.explain_refusal(token, NOW))


def test_two_issuers_with_one_url_are_refused() -> None:
    issuers = [an_issuer(), an_issuer(alias="again")]
    ring = KeyRing(issuers, HttpFetch(), TaskOwner(), Clock())
    with pytest.raises(ValueError, match="`idp` and `again` have the same URL"):
        Resolver(issuers, ring, TokenCache(1), a_builder())


async def test_a_token_longer_than_any_issuer_allows_is_not_even_hashed() -> None:
    issuers = [
        an_issuer(max_token_bytes=10),
        an_issuer(alias="b", url="https://b.example", max_token_bytes=20),
    ]
    ring = KeyRing(issuers, HttpFetch(), TaskOwner(), Clock())
    resolver = Resolver(issuers, ring, TokenCache(1), a_builder())
    assert resolver.find(b"x" * 21, NOW) is DENIALS[Reason.TOKEN_TOO_LARGE]
    assert resolver.cache.misses == 0
    assert resolver.find(b"x" * 20, NOW) is DENIALS[Reason.TOKEN_MALFORMED]
    assert resolver.cache.misses == 1


# Tokens that were refused a moment ago


async def test_a_bad_token_is_looked_at_once(scene: Scene) -> None:
    await scene.ring.prefetch()
    bad = scene.token()[:-4] + b"AAAA"
    for _ in range(10):
        assert scene.find(bad) is DENIALS[Reason.SIGNATURE_INVALID]
    assert scene.resolver.verifications == 1
    scene.clock.now += 10
    assert scene.find(bad) is DENIALS[Reason.SIGNATURE_INVALID]
    assert scene.resolver.verifications == 2


async def test_bad_tokens_push_out_no_good_one(scene: Scene) -> None:
    await scene.ring.prefetch()
    good = scene.token()
    identity = scene.find(good)
    for number in range(300):  # three times what the cache of good ones holds
        scene.find(scene.token(sub=f"s{number}")[:-4] + b"AAAA")
    verifications = scene.resolver.verifications
    assert scene.find(good) is identity
    assert scene.resolver.verifications == verifications


async def test_new_keys_end_the_refusal_of_a_token(scene: Scene) -> None:
    await scene.ring.prefetch()
    scene.clock.now += 30
    token = scene.token(TWO)
    assert scene.find(token) is None
    assert await scene.fetch(token) is DENIALS[Reason.KEY_UNKNOWN]
    assert scene.find(token) is DENIALS[Reason.KEY_UNKNOWN]
    assert scene.resolver.failures.hits == 1
    scene.provider.publish(ONE, TWO)
    await scene.ring.refresh("idp")
    assert isinstance(scene.find(token), Identity)


async def test_an_unknown_key_is_asked_for_as_soon_as_it_may(scene: Scene) -> None:
    """The memory of a refusal does not make the cool-down longer."""
    await scene.ring.prefetch()
    scene.clock.now += 25
    token = scene.token(TWO)
    assert scene.find(token) is DENIALS[Reason.KEY_UNKNOWN]
    scene.clock.now += 4.9
    assert scene.find(token) is DENIALS[Reason.KEY_UNKNOWN]
    scene.clock.now += 0.1
    assert scene.find(token) is None


async def test_that_keys_were_lacking_is_not_remembered(scene: Scene) -> None:
    scene.provider.status = 500
    token = scene.token()
    assert await scene.fetch(token) is DENIALS[Reason.KEYS_UNAVAILABLE]
    assert len(scene.resolver.failures) == 0


async def test_a_token_of_tomorrow_is_looked_at_again_every_second(scene: Scene) -> None:
    await scene.ring.prefetch()
    token = scene.token(nbf=int(NOW) + 40)
    assert scene.find(token) is DENIALS[Reason.TOKEN_NOT_YET_VALID]
    assert scene.find(token) is DENIALS[Reason.TOKEN_NOT_YET_VALID]
    assert scene.resolver.verifications == 1
    scene.clock.now += 11
    assert isinstance(scene.find(token), Identity)


def forged(scene: Scene) -> bytes:
    """Return a token whose signature was changed in the middle."""
    token = scene.token()
    return token[:-20] + (b"B" * 16 if token[-20:-4] == b"A" * 16 else b"A" * 16) + token[-4:]


async def recalled(scene: Scene, token: bytes) -> Credential:
    """Return the credential of a request whose answer was found and remembered."""
    await scene.ring.prefetch()
    credential = Credential(token)
    found = scene.find(token)
    assert found is not None
    scene.resolver.remember(credential, found, scene.clock())
    return credential


async def test_a_credential_remembers_its_identity_until_it_ends(scene: Scene) -> None:
    credential = await recalled(scene, scene.token())
    identity = scene.find(credential.unverified_token)
    assert isinstance(identity, Identity)
    assert scene.resolver.recall(credential, scene.clock()) is identity
    assert scene.resolver.recall(credential, identity.expires_at - 0.1) is identity
    assert scene.resolver.recall(credential, identity.expires_at) is None


async def test_a_credential_remembers_its_refusal_no_longer_than_the_cache(scene: Scene) -> None:
    credential = await recalled(scene, forged(scene))
    refused = DENIALS[Reason.SIGNATURE_INVALID]
    now = scene.clock()
    hits = scene.resolver.failures.hits
    assert scene.resolver.recall(credential, now) is refused
    assert scene.resolver.failures.hits == hits + 1
    assert scene.resolver.recall(credential, now + 9.9) is refused
    assert scene.resolver.recall(credential, now + 10) is None
    assert scene.resolver.recall(credential, now - 1) is None


async def test_what_is_remembered_goes_when_the_keys_change(scene: Scene) -> None:
    good, bad = await recalled(scene, scene.token()), await recalled(scene, forged(scene))
    scene.resolver._forget(scene.resolver._by_url[scene.provider.url].alias)
    assert scene.resolver.recall(good, scene.clock()) is None
    assert scene.resolver.recall(bad, scene.clock()) is None


async def test_nothing_is_remembered_for_another_configuration(scene: Scene) -> None:
    credential = await recalled(scene, scene.token())
    another = Resolver(scene.resolver._by_url.values(), scene.ring, TokenCache(100), a_builder(scene.mapper))
    assert another.recall(credential, scene.clock()) is None


async def test_a_refusal_that_newer_keys_may_lift_is_asked_for_each_time(scene: Scene) -> None:
    await scene.ring.prefetch()
    token = scene.token(TWO)
    credential = Credential(token)
    scene.resolver.remember(credential, DENIALS[Reason.KEY_UNKNOWN], scene.clock())
    assert scene.resolver.recall(credential, scene.clock()) is None


def a_bad_one(scene: Scene, number: int) -> bytes:
    """Return a token of a known key that has not signed it."""
    return scene.token(sub=f"s{number}")[:-6] + b"AAAAAA"


@pytest.fixture
async def guarded(scene: Scene) -> Scene:
    """A scene with a turnstile and with keys."""
    await scene.ring.prefetch()
    scene.resolver.turnstile = Turnstile(2)
    return scene


async def test_only_so_many_tokens_are_looked_at_in_vain_in_one_turn(guarded: Scene) -> None:
    answers = [guarded.find(a_bad_one(guarded, number)) for number in range(10)]
    assert answers == [DENIALS[Reason.SIGNATURE_INVALID]] * 2 + [None] * 8
    assert guarded.resolver.verifications == 2
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert guarded.find(a_bad_one(guarded, 10)) is DENIALS[Reason.SIGNATURE_INVALID]


async def test_good_tokens_are_looked_at_as_they_come(guarded: Scene) -> None:
    answers = [guarded.find(guarded.token(sub=f"s{number}")) for number in range(10)]
    assert all(isinstance(answer, Identity) for answer in answers)
    assert guarded.resolver.waited == 0


async def test_what_is_known_does_not_wait(guarded: Scene) -> None:
    good, bad, unknown = guarded.token(), a_bad_one(guarded, 0), guarded.token(sub="new")
    identity = guarded.find(good)
    assert guarded.find(bad) is DENIALS[Reason.SIGNATURE_INVALID]
    guarded.resolver.turnstile = Turnstile(0)  # lets nobody through
    assert guarded.find(good) is identity
    assert guarded.find(bad) is DENIALS[Reason.SIGNATURE_INVALID]
    assert guarded.find(unknown) is None
    assert guarded.find(b"x" * 16_385) is DENIALS[Reason.TOKEN_TOO_LARGE]


async def test_a_token_that_waits_on_many_connections_is_looked_at_once(guarded: Scene) -> None:
    good, bad = guarded.token(), a_bad_one(guarded, 0)

    def flood() -> None:
        for number in (1, 2):
            assert guarded.find(a_bad_one(guarded, number)) is DENIALS[Reason.SIGNATURE_INVALID]
        assert guarded.find(good) is None

    asyncio.get_running_loop().call_soon(flood)
    answers = await asyncio.gather(*(guarded.fetch(token) for token in (good, bad) * 10))
    assert guarded.resolver.verifications == 2 + 2
    assert set(answers[1::2]) == {DENIALS[Reason.SIGNATURE_INVALID]}
    assert len(set(map(id, answers[0::2]))) == 1
    assert isinstance(answers[0], Identity)
    assert guarded.resolver.cache.misses == 2 + 1
    assert guarded.resolver.waited == 20


async def test_tokens_that_waited_for_keys_are_not_looked_at_all_at_once(scene: Scene) -> None:
    scene.resolver.turnstile = Turnstile(2)
    scene.provider.gate = asyncio.Event()
    tokens = [a_bad_one(scene, number) for number in range(30)]
    asking = [scene.owner.spawn(scene.fetch(token), name="ask") for token in tokens]
    await asyncio.sleep(0.05)
    assert scene.resolver.verifications == 30  # in vain: there are no keys yet
    scene.provider.gate.set()
    most = 0
    while not all(task.done() for task in asking):
        before = scene.resolver.verifications
        await asyncio.sleep(0)
        most = max(most, scene.resolver.verifications - before)
    assert most <= 4
    assert {task.result() for task in asking} == {DENIALS[Reason.SIGNATURE_INVALID]}
    assert scene.provider.fetches == 1


async def while_shut(scene: Scene, tokens: list[bytes]) -> list[asyncio.Task[Identity | Decision]]:
    """Let tokens wait at a turnstile that lets nobody through yet."""
    scene.resolver.turnstile = Turnstile(0)
    waiting = [scene.owner.spawn(scene.fetch(token), name="ask") for token in tokens]
    await asyncio.sleep(0)
    assert scene.resolver.waited == len(tokens)
    return waiting


def let_through(scene: Scene) -> None:
    turnstile = scene.resolver.turnstile
    assert turnstile is not None
    turnstile._misses_per_turn = 2
    turnstile._turn_soon()


async def test_a_new_key_saves_everybody_who_waited_with_it(guarded: Scene) -> None:
    """Also those who were looked at just before it came, and asked for it just after."""
    guarded.clock.now += 30
    guarded.provider.publish(ONE, TWO)
    good = await while_shut(guarded, [guarded.token(TWO, sub=f"s{number}") for number in range(60)])
    bad = [guarded.owner.spawn(guarded.fetch(a_bad_one(guarded, number)), name="bad") for number in range(60)]
    let_through(guarded)
    assert all(isinstance(answer, Identity) for answer in await asyncio.gather(*good))
    assert set(await asyncio.gather(*bad)) == {DENIALS[Reason.SIGNATURE_INVALID]}
    assert guarded.provider.fetches == 2


async def test_a_key_that_was_revoked_meanwhile_lets_nobody_in_who_waited(guarded: Scene) -> None:
    guarded.clock.now += 30
    waiting = await while_shut(guarded, [guarded.token(sub=f"s{number}") for number in range(10)])
    guarded.provider.publish(TWO)
    await guarded.ring.refresh("idp")
    let_through(guarded)
    assert set(await asyncio.gather(*waiting)) == {DENIALS[Reason.KEY_UNKNOWN]}
    assert guarded.provider.fetches == 2


async def test_an_outage_of_an_issuer_is_not_taken_for_a_flood(scene: Scene) -> None:
    scene.provider.status = 500
    scene.resolver.turnstile = Turnstile(2)
    for number in range(5):
        answer = await scene.fetch(scene.token(sub=f"s{number}"))
        assert answer is DENIALS[Reason.KEYS_UNAVAILABLE]
        assert scene.resolver.turnstile.is_open
    assert scene.resolver.waited == 0


async def test_who_replaces_a_resolver_goes_on_counting_those_who_waited(guarded: Scene) -> None:
    assert guarded.resolver.turnstile is not None
    guarded.resolver.turnstile.waited = 7
    issuers = guarded.resolver._by_url.values()
    builder = a_builder(guarded.mapper)
    for turnstile, counted in ((Turnstile(), 7), (None, 0)):
        following = Resolver(issuers, guarded.ring, TokenCache(1), builder, turnstile=turnstile)
        following.count_on(guarded.resolver)
        assert following.waited == counted
