import pytest

from proxy.identify.cache import TokenCache
from proxy.model.identity import Identity, IdentityKind
from tests.identify.tokens import NOW


def an_identity(issuer: str = "idp", expires_at: float = NOW + 100) -> Identity:
    return Identity(
        issuer=issuer,
        subject="s",
        kind=IdentityKind.WORKLOAD,
        roles=frozenset(),
        claims={},
        audiences=frozenset(),
        groups=None,
        session=None,
        actor=None,
        expires_at=expires_at,
        header_lines=b"",
        audit_fields="",
    )


def test_an_identity_is_found_by_the_whole_token() -> None:
    cache = TokenCache(10)
    identity = an_identity()
    cache.put(b"token", identity, NOW)
    assert cache.get(b"token", NOW) is identity
    assert cache.get(b"toke", NOW) is None
    assert cache.get(b"token2", NOW) is None
    assert (cache.hits, cache.misses) == (1, 2)
    assert repr(cache) == "<TokenCache 1 entries, 1 hits, 2 misses>"


def test_an_identity_is_not_found_from_its_end_on() -> None:
    cache = TokenCache(10)
    cache.put(b"token", an_identity(expires_at=NOW + 100), NOW)
    assert cache.get(b"token", NOW + 99.9) is not None
    assert cache.get(b"token", NOW + 100) is None
    assert cache.get(b"token", NOW + 1e9) is None


@pytest.mark.parametrize("expires_at", [NOW, NOW - 1])
def test_an_identity_that_has_ended_is_not_kept(expires_at: float) -> None:
    cache = TokenCache(10)
    cache.put(b"token", an_identity(expires_at=expires_at), NOW)
    assert len(cache) == 0
    cache.put(b"token", an_identity(), NOW)
    cache.put(b"token", an_identity(expires_at=expires_at), NOW)
    assert cache.get(b"token", NOW) is None


def test_the_number_of_entries_is_bounded() -> None:
    cache = TokenCache(100)
    cache.put(b"used", an_identity(), NOW)
    for number in range(1000):
        cache.put(b"%d" % number, an_identity(), NOW)
        assert cache.get(b"used", NOW) is not None
    assert len(cache) == 100
    assert cache.get(b"0", NOW) is None
    assert cache.get(b"999", NOW) is not None


def test_one_issuer_can_be_forgotten() -> None:
    cache = TokenCache(100)
    for number in range(20):
        cache.put(b"%d" % number, an_identity(("one", "two")[number % 2], NOW + number + 1), NOW)
    cache.forget("one")
    assert len(cache) == 10
    assert cache.get(b"0", NOW) is None
    assert cache.get(b"1", NOW) is not None
    cache.forget("unheard of")
    assert len(cache) == 10
    # Entries that ended meanwhile do not come back.
    cache.get(b"19", NOW + 10)
    cache.forget("one")
    assert cache.get(b"1", NOW + 10) is None
    assert cache.get(b"19", NOW + 10) is not None


def test_time_that_goes_back_revives_nothing_that_was_dropped() -> None:
    cache = TokenCache(100)
    cache.put(b"token", an_identity(expires_at=NOW + 10), NOW)
    assert cache.get(b"token", NOW + 10) is None
    assert cache.get(b"token", NOW) is None
