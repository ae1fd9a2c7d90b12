"""Who is measured at what, and who is left out."""

import pytest

from tests.bench import contestants as who
from tests.bench.idle import CONTESTANTS
from tests.bench.samples import sample
from tests.bench.scenarios import PACED_CONNECTIONS, SCENARIOS, TIMER_MS, complete, needed, pause_ms


def test_every_contestant_can_be_started() -> None:
    assert set(needed(SCENARIOS)) | set(CONTESTANTS) == set(who.FACTORIES)


def test_refusals_are_asked_only_of_those_who_check() -> None:
    refusing = {name for each in SCENARIOS if "refused" in each.title for name in each.contestants}
    assert who.NGINX not in refusing
    assert who.OURS in refusing


@pytest.mark.parametrize("rate", [100.0, 5_000.0, 20_000.0])
def test_pauses_add_up_to_the_rate(rate: float) -> None:
    assert PACED_CONNECTIONS / (pause_ms(rate) + TIMER_MS) * 1e3 == pytest.approx(rate)


def test_who_missed_a_round_is_not_compared() -> None:
    measured = {"small": {who.OURS: [sample(), sample()], who.APACHE: [sample()]}}
    assert list(complete(measured, 2)["small"]) == [who.OURS]
