import pytest

from proxy.identify.cache import digest_of
from proxy.identify.failures import NOT_YET_VALID_S, FailureCache
from proxy.identify.interfaces import Refusal
from proxy.model.decision import DENIALS, Reason

NOW = 1_700_000_000.0
BAD = Refusal(Reason.SIGNATURE_INVALID, "detail", "idp")


@pytest.mark.parametrize(("after_s", "is_known"), [(0.0, True), (9.99, True), (10.0, False), (1e9, False)])
def test_a_refusal_is_remembered_for_its_time(after_s: float, is_known: bool) -> None:
    cache = FailureCache(ttl_s=10.0)
    cache.put(b"token", BAD, NOW)
    failure = cache.get(b"token", NOW + after_s)
    assert (failure is not None) is is_known
    assert failure is None or failure.decision is DENIALS[Reason.SIGNATURE_INVALID]


def test_only_the_whole_token_is_found() -> None:
    cache = FailureCache()
    cache.put(b"token", BAD, NOW)
    assert cache.get(b"token ", NOW) is None
    assert cache.get(b"toke", NOW) is None
    assert cache.hits == 0


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_oldest_goes_first_and_no_more_are_held_than_the_limit(count: int) -> None:
    cache = FailureCache(max_entries=3)
    for number in range(count):
        cache.put(b"%d" % number, BAD, NOW + number)
    assert len(cache) == min(count, 3)
    assert (cache.get(b"0", NOW + 3) is None) is (count > 3)
    assert cache.get(b"%d" % (count - 1), NOW + 3) is not None


def test_a_refusal_that_is_renewed_is_the_youngest() -> None:
    cache = FailureCache(max_entries=2)
    for token in (b"a", b"b", b"a", b"c"):
        cache.put(token, BAD, NOW)
    assert cache.get(b"a", NOW) is not None
    assert cache.get(b"b", NOW) is None


def test_a_clock_that_was_set_back_keeps_nobody_out() -> None:
    cache = FailureCache()
    cache.put(b"token", BAD, NOW)
    assert cache.get(b"token", NOW - 1) is None


def test_that_there_are_no_keys_is_not_remembered() -> None:
    cache = FailureCache()
    cache.put(b"token", Refusal(Reason.KEYS_UNAVAILABLE, "", "idp"), NOW)
    assert len(cache) == 0


def test_a_token_that_becomes_valid_is_not_kept_waiting() -> None:
    cache = FailureCache(ttl_s=10.0)
    cache.put(b"token", Refusal(Reason.TOKEN_NOT_YET_VALID, "", "idp"), NOW)
    assert cache.get(b"token", NOW + NOT_YET_VALID_S - 0.01) is not None
    assert cache.get(b"token", NOW + NOT_YET_VALID_S) is None


def test_the_refusals_of_one_issuer_are_forgotten() -> None:
    cache = FailureCache()
    cache.put(b"a", BAD, NOW)
    cache.put(b"b", Refusal(Reason.KEY_UNKNOWN, "", "other"), NOW)
    cache.put(b"c", Refusal(Reason.TOKEN_MALFORMED, ""), NOW)
    cache.forget("idp")
    assert [cache.get(token, NOW) is None for token in (b"a", b"b", b"c")] == [True, False, False]


def test_no_token_shows() -> None:
    cache = FailureCache()
    cache.put(digest_of(b"secret"), BAD, NOW)
    assert repr(cache) == "<FailureCache 1 entries, 0 hits>"
    assert b"secret" not in b"".join(cache._entries)
