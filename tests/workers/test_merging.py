"""The numbers of several processes as those of one service."""

import pytest

from proxy.control.families import Family, Report, Sample
from proxy.workers.merging import APART, HIGHEST, LOWEST, SAME, SUMMED, Ledger, join_of, merge
from tests.kit.local_proxy import LocalProxy, get
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient


def counter(value: float, route: str = "a") -> Family:
    return Family("rolegate_x", "X.", "counter", [Sample("rolegate_x_total", {"route": route}, value)])


def gauge(name: str, value: float, **labels: str) -> Family:
    return Family(name, "G.", "gauge", [Sample(name, labels, value)])


def values(families: list[Family]) -> dict[str, dict[tuple[str, ...], float]]:
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in families
    }


def test_counters_are_added_label_by_label() -> None:
    reports = {"0": Report([counter(2), counter(1, "b")], []), "1": Report([counter(3)], [])}
    assert values(merge(reports)) == {"rolegate_x": {("a",): 5, ("b",): 1}}


def test_histograms_are_added_bucket_by_bucket_and_stay_in_order() -> None:
    def histogram(*counts: float) -> Family:
        bounds = ("0.1", "1.0", "+Inf")
        samples = [Sample("h_bucket", {"le": bound}, n) for bound, n in zip(bounds, counts, strict=True)]
        return Family(
            "h", "H.", "histogram", [*samples, Sample("h_count", {}, counts[-1]), Sample("h_sum", {}, 0.5)]
        )

    (merged,) = merge({"0": Report([histogram(1, 2, 3)], []), "1": Report([histogram(0, 5, 5)], [])})
    assert [(sample.name, sample.labels.get("le"), sample.value) for sample in merged.samples] == [
        ("h_bucket", "0.1", 1),
        ("h_bucket", "1.0", 7),
        ("h_bucket", "+Inf", 8),
        ("h_count", None, 8),
        ("h_sum", None, 1.0),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rolegate_client_connections", {(): 5}),
        ("rolegate_audit_available", {(): 2}),
        ("rolegate_issuer_keys_age_seconds", {(): 3}),
        ("rolegate_build_info", {(): 3}),
        ("process_open_fds", {("0",): 2, ("1",): 3}),
        ("something_nobody_thought_of", {("0",): 2, ("1",): 3}),
    ],
)
def test_a_gauge_is_what_it_means(name: str, expected: dict[tuple[str, ...], float]) -> None:
    reports = {"0": Report([gauge(name, 2)], []), "1": Report([gauge(name, 3)], [])}
    assert values(merge(reports))[name] == expected


def test_processor_time_is_of_one_process() -> None:
    family = Family("process_cpu_seconds", "C.", "counter", [Sample("process_cpu_seconds_total", {}, 2.0)])
    (merged,) = merge({"0": Report([family], []), "supervisor": Report([family], [])})
    assert [sample.labels for sample in merged.samples] == [{"worker": "0"}, {"worker": "supervisor"}]


def test_a_sum_never_goes_back_when_a_worker_ends() -> None:
    """Prometheus would take that for a restart, and count all that is left once more."""
    ledger = Ledger()
    ledger.note("0", Report([counter(10), gauge("rolegate_client_connections", 4)], []))
    ledger.note("1", Report([counter(5), gauge("rolegate_client_connections", 1)], []))
    assert values(ledger.merged(["0", "1"])) == {
        "rolegate_x": {("a",): 15},
        "rolegate_client_connections": {(): 5},
    }
    ledger.ended("0")
    assert values(ledger.merged(["1"])) == {
        "rolegate_x": {("a",): 15},
        "rolegate_client_connections": {(): 1},
    }
    ledger.note("0", Report([counter(1), gauge("rolegate_client_connections", 2)], []))
    ledger.note("1", Report([counter(6), gauge("rolegate_client_connections", 1)], []))
    assert values(ledger.merged(["0", "1"])) == {
        "rolegate_x": {("a",): 17},
        "rolegate_client_connections": {(): 3},
    }
    ledger.ended("0")
    ledger.ended("0")
    ledger.ended("1")
    assert values(ledger.merged([])) == {"rolegate_x": {("a",): 17}}


def test_of_a_worker_that_does_not_answer_the_counts_stay_and_the_state_does_not() -> None:
    ledger = Ledger()
    ledger.note("0", Report([counter(10), gauge("rolegate_client_connections", 4)], []))
    assert values(ledger.merged([])) == {"rolegate_x": {("a",): 10}}


async def test_for_each_gauge_of_ours_somebody_has_decided_how_it_is_put_together() -> None:
    """Else it shows once for each worker, which may be right, but was not meant."""
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.request(get())
        families = [Family(metric.name, "", metric.type, []) for metric in proxy.proxy._registry().collect()]
        undecided = {
            family.name
            for family in families
            if join_of(family) is None and not family.name.startswith("process_")
        }
        assert undecided <= APART


def test_nobody_has_decided_twice() -> None:
    groups = (SUMMED, LOWEST, HIGHEST, SAME, APART)
    assert len(frozenset().union(*groups)) == sum(map(len, groups))
