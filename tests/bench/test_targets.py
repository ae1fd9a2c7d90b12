"""Promises are judged by the median of the rounds, each contestant against the other within its round."""

import pytest

from tests.bench import contestants as who
from tests.bench.flood import EACH_ANOTHER, ONE_FORGED, Beside
from tests.bench.idle import Memory
from tests.bench.load import Answers
from tests.bench.results import Results
from tests.bench.samples import sample
from tests.bench.scenarios import SCENARIOS, Measured
from tests.bench.targets import TARGETS, Verdict, flood_verdicts, scaling_verdict, verdicts
from tests.bench.workers import ONE, TWO, Taken


def found(measured: Measured, words: str, memory: dict[str, Memory] | None = None) -> Verdict:
    (verdict,) = [
        each for each in verdicts(Results(measured=measured, memory=memory or {})) if words in each.words
    ]
    return verdict


@pytest.mark.parametrize(("ours", "is_met"), [(49.9, True), (50.0, True), (50.1, False)])
def test_limit_itself_is_met(ours: float, is_met: bool) -> None:
    small = {who.OURS: [sample(cpu_us=ours)], who.ENVOY: [sample(cpu_us=100.0)]}
    assert found({"small": small}, "small GET, CPU against Envoy").is_met is is_met


def test_ratio_is_the_median_of_the_rounds() -> None:
    """One disturbed round changes nothing."""
    ours = [sample(cpu_us=cost) for cost in (40.0, 400.0, 44.0)]
    envoy = [sample(cpu_us=cost) for cost in (100.0, 100.0, 110.0)]
    verdict = found({"small": {who.OURS: ours, who.ENVOY: envoy}}, "small GET, CPU against Envoy")
    assert (verdict.measured, verdict.spread, verdict.is_met) == ("0.40", "0.40 to 4.00", True)


def test_refusal_is_held_against_an_accepted_request() -> None:
    measured = {
        "small": {who.OURS: [sample(cpu_us=60.0)]},
        "no-token": {who.OURS: [sample(cpu_us=20.0)]},
    }
    assert found(measured, "(no token)").measured == "0.33"


def test_throughput_is_judged_by_the_clock_and_by_the_processor() -> None:
    ours, nginx = sample(per_s=700.0, cpu_us=200.0), sample(per_s=1000.0, cpu_us=100.0)
    measured = {"1m": {who.OURS: [ours], who.NGINX: [nginx]}}
    assert found(measured, "throughput against").is_met is True
    assert found(measured, "per second of CPU").is_met is False


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    everything = verdicts(Results(measured={"small": {who.OURS: [sample()]}}))
    assert {(each.is_met, each.measured) for each in everything} == {(None, "-")}


def test_memory_is_judged_for_each_number_of_connections() -> None:
    memory = {
        who.OURS: Memory(idle_bytes=61 * 2**20, per_connection={1000: 12 * 1024, 10_000: 13 * 1024}),
        who.FETCHING: Memory(idle_bytes=60 * 2**20, per_connection={1000: 12 * 1024}),
    }
    last = verdicts(Results(memory=memory))[-4:]
    assert [each.is_met for each in last] == [False, True, True, False]
    assert last[2].words.endswith("1,000 of them")


def test_a_second_core_is_judged_round_by_round() -> None:
    def at(*rates: float) -> list[Taken]:
        return [Taken(requests_per_s=rate, cpu_us=30.0, p99_ms=1.0, busiest_share=0.5) for rate in rates]

    fair = scaling_verdict({ONE: at(100.0, 200.0, 100.0), TWO: at(180.0, 320.0, 200.0)})
    assert (fair.measured, fair.spread, fair.is_met) == ("1.80", "1.60 to 2.00", True)
    assert scaling_verdict({ONE: at(100.0), TWO: at(179.0)}).is_met is False


def test_flood_is_judged_by_how_long_good_requests_wait_at_the_worst() -> None:
    def waits(*p99s_ms: float) -> list[Beside]:
        return [
            Beside(
                good=Answers(
                    requests=1, requests_per_s=1.0, not_success=0, errors=0, p50_ms=9.0, p99_ms=p99_ms
                ),
                bad_per_s=1.0,
            )
            for p99_ms in p99s_ms
        ]

    one, each_another = flood_verdicts(
        {
            ONE_FORGED: {who.OURS: waits(2.0, 9.0, 1.0), who.ENVOY: waits(4.0, 4.0, 4.0)},
            EACH_ANOTHER: {who.OURS: waits(2.1), who.ENVOY: waits(4.0)},
        }
    )
    assert (one.measured, one.spread, one.is_met) == ("0.50", "0.25 to 2.25", True)
    assert (each_another.measured, each_another.is_met) == ("0.53", False)
    assert {verdict.is_met for verdict in flood_verdicts({})} == {None}


def test_every_target_names_what_is_measured() -> None:
    """A name that no scenario has would read `not measured` for ever."""
    known = {(scenario.name, name) for scenario in SCENARIOS for name in scenario.contestants}
    for target in TARGETS:
        for side in (target.ours, target.theirs):
            assert (side.scenario, side.contestant) in known
