"""The standing of an endpoint: every change, at, below and above its threshold."""

import pytest

from proxy.forward.standing import Standing, State
from proxy.model.upstream import Ejection, Health

EJECTION = Ejection(after=3, time_s=10, max_time_s=35)
HEALTH = Health(path="/", healthy_after=2, unhealthy_after=3)


class Watched:
    """A standing whose changes are kept."""

    def __init__(self, ejection: Ejection = EJECTION, *, may_eject: bool = True) -> None:
        self.changes: list[State] = []
        self.standing = Standing(ejection, HEALTH, lambda: may_eject, self.changed)

    def changed(self) -> None:
        self.changes.append(self.standing.state)


def test_so_many_failures_in_a_row_eject() -> None:
    watched = Watched()
    standing = watched.standing
    for _ in range(2):
        standing.failed(0)
    standing.answered(200, 0)
    for _ in range(2):
        standing.failed(0)
    assert watched.changes == []
    standing.failed(0)
    assert (watched.changes, standing.ejections) == ([State.EJECTED], 1)


def test_an_ejection_ends_half_open_and_an_answer_brings_it_back() -> None:
    watched = Watched(Ejection(after=1, time_s=10))
    standing = watched.standing
    standing.failed(0)
    standing.sweep(9.9)
    assert standing.state is State.EJECTED
    standing.sweep(10)
    standing.answered(200, 10)
    assert watched.changes == [State.EJECTED, State.HALF_OPEN, State.GOOD]


def test_each_ejection_in_a_row_takes_twice_as_long_up_to_the_most() -> None:
    standing = Watched(Ejection(after=1, time_s=10, max_time_s=35)).standing
    now, lengths = 0.0, []
    for _ in range(4):
        standing.failed(now)
        began = now
        while standing.state is State.EJECTED:
            now += 1
            standing.sweep(now)
        lengths.append(now - began)
    assert lengths == [10, 20, 35, 35]
    standing.answered(200, now)
    standing.failed(now)
    standing.sweep(now + 10)
    assert standing.state is State.HALF_OPEN


def test_one_probe_at_a_time() -> None:
    standing = Watched(Ejection(after=1, time_s=10)).standing
    standing.failed(0)
    standing.sweep(10)
    assert [standing.take_probe(10, is_replayable=True) for _ in range(2)] == [True, False]
    # The client of the probe left: nothing is known, and the next one may try.
    assert standing.take_probe(20, is_replayable=True)


def test_a_request_that_cannot_be_sent_again_probes_only_if_no_other_came() -> None:
    standing = Watched(Ejection(after=1, time_s=10)).standing
    standing.failed(0)
    standing.sweep(10)
    assert not standing.take_probe(19.9, is_replayable=False)
    assert standing.take_probe(20, is_replayable=False)


def test_who_may_not_be_ejected_is_not() -> None:
    watched = Watched(may_eject=False)
    for _ in range(9):
        watched.standing.failed(0)
    assert watched.changes == []


@pytest.mark.parametrize(("counts", "state"), [(True, State.EJECTED), (False, State.GOOD)])
def test_server_errors_are_failures_where_it_is_said(counts: bool, state: State) -> None:
    standing = Watched(Ejection(after=2, server_errors=counts)).standing
    for status in (500, 503):
        standing.answered(status, 0)
    assert standing.state is state


def test_so_many_bad_checks_take_it_away_and_so_many_good_ones_bring_it_back() -> None:
    watched = Watched()
    for is_well in (False, False, True, False, False):
        watched.standing.checked(is_well=is_well)
    assert watched.changes == []
    watched.standing.checked(is_well=False)
    assert watched.changes == [State.UNHEALTHY]
    for is_well in (True, False, True):
        watched.standing.checked(is_well=is_well)
    assert watched.changes == [State.UNHEALTHY]
    watched.standing.checked(is_well=True)
    assert watched.changes == [State.UNHEALTHY, State.GOOD]
    assert (watched.standing.checks_passed, watched.standing.checks_failed) == (4, 6)


def test_an_ejection_of_one_that_is_unhealthy_ends_unhealthy() -> None:
    watched = Watched(Ejection(after=1, time_s=10))
    watched.standing.failed(0)
    for _ in range(3):
        watched.standing.checked(is_well=False)
    assert watched.changes == [State.EJECTED]
    watched.standing.sweep(10)
    assert watched.changes == [State.EJECTED, State.UNHEALTHY]


def test_the_state_is_shown() -> None:
    assert repr(Watched().standing) == "<Standing good [0 failures in a row]>"
