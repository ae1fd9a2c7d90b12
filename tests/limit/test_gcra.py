"""The algorithm against its definition: never more than the burst at once, nor than the rate over time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limit.gcra import Quota, judge

NOW = 1_000_000.0


def send(times: list[float], quota: Quota, paid_until: float = 0.0) -> list[bool]:
    answers = []
    for now in times:
        standing = judge(paid_until, now, quota)
        answers.append(standing.is_within)
        if standing.is_within:
            paid_until = standing.paid_until
    return answers


@pytest.mark.parametrize("burst", [1, 2, 10, 1000])
@pytest.mark.parametrize("interval_s", [0.000_1, 0.01, 0.1, 1 / 3, 60.0, 86_400.0])
def test_exactly_the_burst_is_let_through_at_once(burst: int, interval_s: float) -> None:
    answers = send([NOW] * (burst + 2), Quota(interval_s, burst))
    assert answers == [True] * burst + [False, False]


def test_after_the_burst_one_in_each_interval() -> None:
    quota = Quota(0.5, 2)
    assert send([NOW, NOW, NOW, NOW + 0.499, NOW + 0.5, NOW + 0.6, NOW + 1.0], quota) == [
        *(True, True, False, False, True, False, True)
    ]


def test_refused_requests_cost_nothing() -> None:
    """Or a client that retries too soon would never be let in again."""
    times = [NOW + step / 100 for step in range(1000)]
    assert sum(send(times, Quota(1.0, 1))) == 10


def test_who_is_refused_learns_when_to_come_back() -> None:
    quota = Quota(2.0, 3)
    standing = judge(NOW + 5.0, NOW, quota)
    assert not standing.is_within
    assert (standing.retry_after_s, standing.full_after_s, standing.remaining) == (1.0, 5.0, 0)
    assert not judge(NOW + 5.0, NOW + 0.99, quota).is_within
    assert judge(NOW + 5.0, NOW + 1.0, quota).is_within


def test_what_remains_is_what_may_follow_at_once() -> None:
    quota, paid_until = Quota(1.0, 5), 0.0
    for remaining in (4, 3, 2, 1, 0):
        standing = judge(paid_until, NOW, quota)
        assert standing.remaining == remaining
        assert standing.full_after_s == pytest.approx(5 - remaining)
        paid_until = standing.paid_until


def test_a_number_too_far_ahead_is_cut_to_what_the_limit_allows() -> None:
    """The limit was tightened, or the number is that of another caller: nobody waits longer than a burst."""
    quota = Quota(1.0, 3)
    standing = judge(NOW + 1e9, NOW, quota)
    assert not standing.is_within
    assert standing.retry_after_s == pytest.approx(1.0)
    assert standing.paid_until == pytest.approx(NOW + 3.0)


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=200),
    st.integers(1, 20),
    st.sampled_from([0.1, 0.25, 1.0, 7.0]),
)
def test_no_stretch_of_time_sees_more_than_burst_and_rate_allow(
    offsets: list[float], burst: int, interval_s: float
) -> None:
    times = sorted(NOW + offset for offset in offsets)
    let_in = [now for now, ok in zip(times, send(times, Quota(interval_s, burst)), strict=True) if ok]
    for first, start in enumerate(let_in):
        for last, end in enumerate(let_in[first:], first):
            assert last - first + 1 <= burst + (end - start) / interval_s + 0.01
