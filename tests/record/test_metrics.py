import pytest
from prometheus_client.metrics_core import Metric

from proxy.model.decision import Reason
from proxy.record.metrics import BUCKETS_S, RequestMetrics, RouteCounts


def families(metrics: RequestMetrics) -> dict[str, Metric]:
    return {family.name: family for family in metrics.collect()}


def value(family: Metric, **labels: str) -> float | None:
    found = [sample.value for sample in family.samples if sample.labels == labels]
    assert len(found) <= 1
    return found[0] if found else None


def test_decisions_are_counted_by_route_and_reason() -> None:
    metrics = RequestMetrics()
    for reason in (Reason.ALLOWED, Reason.ALLOWED, Reason.NO_RULE_MATCHED):
        metrics.route("a").decided(reason)
    metrics.unrouted.decided(Reason.NO_ROUTE)
    family = families(metrics)["rolegate_decisions"]
    assert value(family, route="a", reason="allowed") == 2
    assert value(family, route="a", reason="no-rule-matched") == 1
    assert value(family, route="", reason="no-route") == 1
    assert len(family.samples) == 3


@pytest.mark.parametrize(
    ("status", "label"),
    [
        (100, "1xx"),
        (200, "2xx"),
        (299, "2xx"),
        (304, "3xx"),
        (404, "4xx"),
        (599, "5xx"),
        (600, "5xx"),
        (999, "5xx"),
    ],
)
def test_responses_are_counted_by_class(status: int, label: str) -> None:
    metrics = RequestMetrics()
    counts = metrics.route("a")
    counts.decided(Reason.ALLOWED)
    counts.answered(status, 0.0)
    family = families(metrics)["rolegate_responses"]
    assert [(sample.labels, sample.value) for sample in family.samples] == [
        ({"route": "a", "status": label}, 1)
    ]


@pytest.mark.parametrize(
    ("duration_s", "bucket"),
    [(0.0, 0), (0.001, 0), (0.001_001, 1), (0.0025, 1), (0.03, 5), (30.0, 13), (30.1, 14), (1e9, 14)],
)
def test_a_duration_counts_in_its_bucket_bounds_included(duration_s: float, bucket: int) -> None:
    counts = RouteCounts("a")
    counts.answered(200, duration_s)
    assert counts.buckets.index(1) == bucket
    assert counts.duration_sum_s == duration_s


def test_the_histogram_is_cumulative_and_agrees_with_the_responses() -> None:
    metrics = RequestMetrics()
    counts = metrics.route("a")
    counts.decided(Reason.ALLOWED)
    for duration_s in (0.0005, 0.002, 0.002, 7.0, 100.0):
        counts.answered(999, duration_s)
    family = families(metrics)["rolegate_request_duration_seconds"]
    buckets = [sample.value for sample in family.samples if sample.name.endswith("_bucket")]
    assert buckets == [1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 5]
    [total] = [sample.value for sample in family.samples if sample.name.endswith("_count")]
    [seconds] = [sample.value for sample in family.samples if sample.name.endswith("_sum")]
    assert total == 5
    assert seconds == pytest.approx(107.0045)
    assert sum(sample.value for sample in families(metrics)["rolegate_responses"].samples) == 5


def test_ends_are_counted_with_the_bytes_of_both_bodies() -> None:
    metrics = RequestMetrics()
    counts = metrics.route("a")
    counts.decided(Reason.ALLOWED)
    counts.ended(Reason.COMPLETED, 10, 1000)
    counts.ended(Reason.UPSTREAM_RESET, 1, 2**40)
    found = families(metrics)
    assert value(found["rolegate_outcomes"], route="a", reason="completed") == 1
    assert value(found["rolegate_outcomes"], route="a", reason="upstream-reset") == 1
    assert value(found["rolegate_request_body_bytes"], route="a") == 11
    assert value(found["rolegate_response_body_bytes"], route="a") == 1000 + 2**40


def test_a_route_keeps_its_numbers_when_it_is_asked_for_again() -> None:
    metrics = RequestMetrics()
    metrics.route("a").decided(Reason.ALLOWED)
    assert metrics.route("a") is metrics.route("a")
    assert metrics.route("a").decisions == {Reason.ALLOWED: 1}


def test_a_route_that_nobody_used_makes_no_series() -> None:
    metrics = RequestMetrics()
    metrics.route("a")
    assert all(family.samples == [] for family in families(metrics).values())


def test_bucket_bounds_rise() -> None:
    assert list(BUCKETS_S) == sorted(set(BUCKETS_S))
    assert len(RouteCounts("a").buckets) == len(BUCKETS_S) + 1


def test_a_route_that_is_configured_no_more_is_forgotten() -> None:
    metrics = RequestMetrics()
    gone, stays = metrics.route("gone"), metrics.route("stays")
    for counts in (gone, stays, metrics.unrouted):
        counts.decided(Reason.NO_ROUTE)
    metrics.keep(["stays"])
    assert metrics.routes == {"": metrics.unrouted, "stays": stays}
    assert metrics.route("gone") is not gone
