import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.identify.fetch import HttpFetch
from proxy.identify.issuers import Issuer, KeyTimes
from proxy.identify.keyring import KeyRing
from proxy.identify.keys import KeyStatus
from proxy.tasks import TaskOwner
from tests.identify.provider import DISCOVERY, KEYS, Provider, a_provider, until
from tests.identify.tokens import Signer, an_issuer, as_json, jwks
from tests.kit.clock import Clock

ONE, TWO = Signer("one", "ES256"), Signer("two", "ES256", 1)
TIMES = KeyTimes(fresh_for_s=600, stale_for_s=3600, cooldown_s=30, timeout_s=2)


class Scene:
    """A key ring in front of one provider, with a clock of its own."""

    def __init__(self, provider: Provider, times: KeyTimes = TIMES) -> None:
        self.provider = provider
        self.issuer = an_issuer(url=provider.url, keys=times)
        self.clock = Clock(1000.0)
        self.owner = TaskOwner()
        self.fetch = HttpFetch()
        self.changes: list[str] = []
        self.ring = self.ring_of(self.issuer)

    def ring_of(self, *issuers: Issuer) -> KeyRing:
        ring = KeyRing(issuers, self.fetch, self.owner, self.clock)
        ring.on_change(self.changes.append)
        return ring

    @property
    def status(self) -> KeyStatus:
        return self.ring.status()[0]

    def has(self, signer: Signer, alias: str = "idp") -> bool:
        return self.ring.find(alias, signer.kid, signer.algorithm) is not None

    async def settle(self) -> None:
        """Wait until no fetch is under way."""
        await until(lambda: len(self.owner) == 0)

    async def close(self) -> None:
        await self.owner.close()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_provider(ONE) as provider:
        scene = Scene(provider)
        yield scene
        await scene.close()


async def test_keys_are_there_after_the_first_fetch(scene: Scene) -> None:
    assert (scene.has(ONE), scene.ring.has_set("idp"), scene.ring.is_ready()) == (False, False, False)
    await scene.ring.prefetch()
    assert (scene.has(ONE), scene.ring.has_set("idp"), scene.ring.is_ready()) == (True, True, True)
    assert scene.has(TWO) is False
    expected = KeyStatus(
        alias="idp",
        required=True,
        has_keys=True,
        keys=1,
        age_s=0.0,
        fetches_succeeded=1,
        fetches_failed=0,
        last_error="",
    )
    assert scene.status == expected


async def test_a_thousand_who_need_keys_make_one_fetch(scene: Scene) -> None:
    scene.provider.gate = asyncio.Event()
    waiting = [scene.owner.spawn(scene.ring.refresh("idp"), name=f"waiter {n}") for n in range(1000)]
    await asyncio.sleep(0.05)
    assert scene.ring.may_fetch("idp")
    scene.provider.gate.set()
    await asyncio.gather(*waiting)
    assert scene.provider.asked == {DISCOVERY: 1, KEYS: 1}
    assert scene.has(ONE)


async def test_a_waiter_that_gives_up_does_not_end_the_fetch_of_the_others(scene: Scene) -> None:
    scene.provider.gate = asyncio.Event()
    first = scene.owner.spawn(scene.ring.refresh("idp"), name="first")
    second = scene.owner.spawn(scene.ring.refresh("idp"), name="second")
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.wait([first])
    scene.provider.gate.set()
    await second
    assert scene.has(ONE)
    assert scene.provider.fetches == 1


async def test_unknown_keys_make_at_most_one_fetch_in_a_cooldown(scene: Scene) -> None:
    await scene.ring.prefetch()
    for _ in range(100):
        scene.clock.now += 1
        for number in range(100):
            assert scene.ring.find("idp", f"unknown {number}", "ES256") is None
            if scene.ring.may_fetch("idp"):
                await scene.ring.refresh("idp")
    # 100 seconds of 100 unknown keys each: one fetch at the start and one every 30 seconds.
    assert scene.provider.fetches == 1 + 100 // 30


async def test_a_new_key_is_found_after_the_cooldown(scene: Scene) -> None:
    await scene.ring.prefetch()
    scene.provider.publish(ONE, TWO)
    assert scene.ring.may_fetch("idp") is False
    scene.clock.now += 30
    assert scene.ring.may_fetch("idp") is True
    await scene.ring.refresh("idp")
    assert (scene.has(ONE), scene.has(TWO)) == (True, True)


async def test_old_keys_are_used_while_they_are_fetched_anew(scene: Scene) -> None:
    await scene.ring.prefetch()
    scene.clock.now += 599
    assert scene.has(ONE)
    assert len(scene.owner) == 0
    scene.provider.publish(TWO)
    scene.clock.now += 1
    assert scene.has(ONE)  # at once, and the fetch is under way
    assert scene.has(ONE)
    assert len(scene.owner) == 1
    await scene.settle()
    assert (scene.has(ONE), scene.has(TWO), scene.provider.fetches) == (False, True, 2)


async def test_in_an_outage_keys_are_believed_up_to_the_hard_limit(scene: Scene) -> None:
    await scene.ring.prefetch()
    scene.provider.status = 503
    for _ in range(35):
        scene.clock.now += 100
        assert scene.has(ONE)
        await scene.settle()
    scene.clock.now += 99
    assert scene.has(ONE)
    assert scene.changes == ["idp"]
    await scene.settle()
    scene.clock.now += 1
    assert scene.has(ONE) is False
    assert scene.ring.has_set("idp") is False
    assert scene.ring.is_ready() is False
    # What was verified with these keys must be forgotten now.
    assert scene.changes == ["idp", "idp"]
    assert scene.status.fetches_failed > 10
    assert "503" in scene.status.last_error


async def test_the_first_good_answer_ends_an_outage(scene: Scene) -> None:
    scene.provider.status = 500
    await scene.ring.prefetch()
    assert scene.status.has_keys is False
    scene.provider.status = 200
    scene.clock.now += 1
    assert scene.ring.may_fetch("idp")
    await scene.ring.refresh("idp")
    assert scene.has(ONE)
    assert scene.status.last_error == ""


async def test_without_keys_fetches_are_repeated_sooner_and_then_rarer(scene: Scene) -> None:
    scene.provider.status = 500
    asked_at: list[float] = []
    started_at = scene.clock.now
    while scene.clock.now < started_at + 120:
        if scene.ring.may_fetch("idp"):
            asked_at.append(scene.clock.now - started_at)
            await scene.ring.refresh("idp")
        scene.clock.now += 0.5
    assert asked_at == [0, 1, 3, 7, 15, 31, 61, 91]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>oops</html>",
        b'{"keys": "none"}',
        b'{"keys": [{"kty": "RSA"}]}',
        jwks(TWO.jwk(use="enc")),
        b" " * (256 * 1024 + 1) + jwks(TWO.jwk()),
        jwks(*[Signer(f"k{n}", "ES256").jwk() for n in range(65)]),
    ],
)
async def test_an_unusable_answer_leaves_good_keys_in_place(scene: Scene, document: bytes) -> None:
    await scene.ring.prefetch()
    scene.provider.documents[KEYS] = document
    await scene.ring.refresh("idp")
    assert (scene.has(ONE), scene.has(TWO)) == (True, False)
    assert scene.changes == ["idp"]
    assert (scene.status.fetches_succeeded, scene.status.fetches_failed) == (1, 1)


@pytest.mark.parametrize("length", [256 * 1024, 256 * 1024 + 1])
async def test_a_key_set_has_at_most_256_kb(scene: Scene, length: int) -> None:
    document = jwks(ONE.jwk())
    scene.provider.documents[KEYS] = document + b" " * (length - len(document))
    await scene.ring.prefetch()
    assert scene.has(ONE) is (length == 256 * 1024)


async def test_an_empty_set_revokes_every_key(scene: Scene) -> None:
    await scene.ring.prefetch()
    scene.provider.publish()
    await scene.ring.refresh("idp")
    assert scene.has(ONE) is False
    assert scene.ring.has_set("idp") is True  # the answer is "unknown key", not "no keys to be had"
    assert scene.status.has_keys is False
    assert scene.changes == ["idp", "idp"]


async def test_a_foreign_discovery_document_gives_no_keys(scene: Scene) -> None:
    scene.provider.documents[DISCOVERY] = as_json(
        {"issuer": "https://evil.example", "jwks_uri": scene.provider.url + KEYS}
    )
    await scene.ring.prefetch()
    assert scene.has(ONE) is False
    assert scene.provider.fetches == 0


async def test_a_redirect_is_not_followed(scene: Scene) -> None:
    scene.provider.status = 302
    scene.provider.headers["Location"] = scene.provider.url + KEYS
    await scene.ring.prefetch()
    assert (scene.has(ONE), scene.provider.fetches) == (False, 0)


async def test_a_slow_provider_is_given_up_in_time() -> None:
    async with a_provider(ONE) as provider:
        # Each of the two documents alone would be in time.
        provider.delay_s = 0.15
        scene = Scene(provider, KeyTimes(timeout_s=0.2))
        started_at = time.monotonic()
        await scene.ring.prefetch()
        assert time.monotonic() - started_at < 1
        assert scene.has(ONE) is False
        assert "within 0.2 s" in scene.status.last_error
        await scene.close()


async def test_only_a_change_of_keys_is_announced(scene: Scene) -> None:
    await scene.ring.prefetch()
    assert scene.changes == ["idp"]
    await scene.ring.refresh("idp")
    scene.provider.documents[KEYS] = jwks(ONE.jwk(x5t="AAAA"))
    await scene.ring.refresh("idp")
    assert scene.changes == ["idp"]
    scene.provider.publish(TWO)
    await scene.ring.refresh("idp")
    assert scene.changes == ["idp", "idp"]


async def test_keys_of_two_issuers_with_one_name_do_not_mix(scene: Scene) -> None:
    same_name = Signer("one", "ES256", 2)
    async with a_provider(same_name) as provider:
        other = an_issuer(alias="other", url=provider.url, keys=TIMES)
        ring = scene.ring_of(scene.issuer, other)
        await ring.prefetch()
        mine, theirs = ring.find("idp", "one", "ES256"), ring.find("other", "one", "ES256")
        assert mine is not None
        assert theirs is not None
        assert mine != theirs
        assert theirs == same_name.key.public_key()
        scene.changes.clear()
        provider.publish(TWO)
        await ring.refresh("other")
        assert scene.changes == ["other"]
        assert ring.find("idp", "one", "ES256") is mine
        assert ring.find("other", "one", "ES256") is None


async def test_an_issuer_that_is_not_required_does_not_hold_up_readiness(scene: Scene) -> None:
    other = an_issuer(alias="other", url="http://127.0.0.1:1", required=False)
    ring = scene.ring_of(scene.issuer, other)
    await ring.prefetch()
    assert ring.is_ready() is True
    assert [status.has_keys for status in ring.status()] == [True, False]


async def test_keys_that_are_not_used_are_reported_once(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.provider.documents[KEYS] = jwks(ONE.jwk(), TWO.jwk(use="enc"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await scene.ring.refresh("idp")
    assert [record.getMessage() for record in caplog.records] == [
        "issuer `idp`: not used: key `two`: `use` must be `sig`, got `enc`"
    ]


async def test_keys_are_kept_fresh_in_the_background() -> None:
    async with a_provider(ONE) as provider:
        scene = Scene(provider, KeyTimes(fresh_for_s=0.1, stale_for_s=60, cooldown_s=0.05))
        ring = KeyRing([scene.issuer], scene.fetch, scene.owner)
        ring.start()
        await until(lambda: provider.fetches >= 2)
        provider.status = 500
        await until(lambda: ring.status()[0].fetches_failed > 0)
        provider.status = 200
        provider.publish(TWO)
        await until(lambda: ring.find("idp", "two", "ES256") is not None)
        await scene.close()
        asked = provider.fetches
        await asyncio.sleep(0.2)
        assert provider.fetches == asked


async def test_dead_keys_are_forgotten_even_if_nobody_asks() -> None:
    async with a_provider(ONE) as provider:
        scene = Scene(provider, KeyTimes(fresh_for_s=0.1, stale_for_s=0.3, cooldown_s=10))
        ring = KeyRing([scene.issuer], scene.fetch, scene.owner)
        ring.on_change(scene.changes.append)
        await ring.prefetch()
        provider.status = 500
        ring.start()
        await until(lambda: len(scene.changes) == 2)
        assert ring.status()[0].has_keys is False
        await scene.close()


async def test_a_new_configuration_of_the_same_issuer_starts_with_its_keys(scene: Scene) -> None:
    await scene.ring.prefetch()
    scene.clock.now += 100
    same = an_issuer(url=scene.issuer.url, audiences=frozenset({"other"}), keys=TIMES)
    ring = scene.ring_of(same)
    ring.inherit(scene.ring)
    assert ring.find("idp", "one", "ES256") is not None
    assert ring.status()[0].age_s == 100
    elsewhere = an_issuer(url=scene.issuer.url, jwks_url=scene.provider.url + "/other", keys=TIMES)
    ring = scene.ring_of(elsewhere)
    ring.inherit(scene.ring)
    assert ring.has_set("idp") is False


async def test_fresh_keys_are_left_alone_in_the_background(scene: Scene) -> None:
    looks = 0

    def counting_clock() -> float:
        nonlocal looks
        looks += 1
        return time.monotonic()

    ring = KeyRing([scene.issuer], scene.fetch, scene.owner, counting_clock)
    ring.start()
    await until(ring.is_ready)
    looks = 0
    await asyncio.sleep(0.2)
    assert looks < 10
    assert scene.provider.fetches == 1
    heir = KeyRing([scene.issuer], scene.fetch, scene.owner, counting_clock)
    heir.inherit(ring)
    heir.start()
    await asyncio.sleep(0.1)
    assert scene.provider.fetches == 1


async def test_an_issuer_that_is_down_at_the_start_is_found_without_being_asked_for() -> None:
    async with a_provider(ONE) as provider:
        provider.status = 500
        scene = Scene(provider, KeyTimes(cooldown_s=0.1))
        ring = KeyRing([scene.issuer], scene.fetch, scene.owner)
        ring.start()
        await until(lambda: ring.status()[0].fetches_failed >= 2)
        provider.status = 200
        await until(ring.is_ready)
        await scene.close()


async def test_a_failed_fetch_does_not_shorten_the_cooldown_while_there_are_keys(scene: Scene) -> None:
    await scene.ring.prefetch()
    scene.provider.status = 500
    await scene.ring.refresh("idp")
    for _ in range(29):
        scene.clock.now += 1
        assert scene.ring.may_fetch("idp") is False
    scene.clock.now += 1
    assert scene.ring.may_fetch("idp") is True


async def test_there_may_be_nothing_to_inherit(scene: Scene, tmp_path: Path) -> None:
    ring = scene.ring_of(scene.issuer, an_issuer(alias="new"))
    ring.inherit(scene.ring)
    assert ring.has_set("idp") is False
    file = tmp_path / "keys.json"
    file.write_bytes(jwks(ONE.jwk()))
    before = pinned(file)
    file.write_bytes(jwks(TWO.jwk()))
    after = pinned(file)
    after.inherit(before)
    assert after.find("idp", "one", "ES256") is None
    assert after.find("idp", "two", "ES256") is not None


async def test_an_unexpected_failure_is_recorded_and_not_the_end(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(url: str, *, timeout_s: float, max_bytes: int, ca_file: Path | None) -> bytes:
        raise RuntimeError("a bug")

    ring = KeyRing([scene.issuer], broken, scene.owner, scene.clock)
    await ring.prefetch()
    assert ring.status()[0].fetches_failed == 1
    assert "failed unexpectedly" in caplog.text


def pinned(file: Path) -> KeyRing:
    return KeyRing([an_issuer(jwks_file=file)], HttpFetch(), TaskOwner(), Clock())


async def test_pinned_keys_are_read_at_the_start_and_never_fetched(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(jwks(ONE.jwk()))
    ring = pinned(file)
    assert ring.is_ready()
    assert ring.find("idp", "one", "ES256") is not None
    assert ring.find("idp", "two", "ES256") is None
    assert ring.may_fetch("idp") is False
    await ring.prefetch()
    ring.start()
    await asyncio.sleep(0)
    status = ring.status()[0]
    assert (status.keys, status.age_s, status.fetches_succeeded) == (1, None, 0)


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"keys": []}', jwks(ONE.jwk(use="enc"))])
def test_a_pinned_file_without_usable_keys_does_not_load(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="`jwks_file` of issuer `idp`"):
        pinned(file)
