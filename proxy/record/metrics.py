"""
The numbers that Prometheus reads.

The request path only adds to plain integers, which costs a twentieth of a client-library counter;
the collector turns them into metric families when Prometheus asks. No label holds anything that a
client can choose: routes, upstreams and issuers come from the configuration, reasons from `Reason`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from proxy.model.decision import Reason

BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STATUS_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")


class RouteCounts:
    """
    What happened on one route; `name` is empty for requests that matched none.

    `decisions` counts by reason; `outcomes` by how forwarded requests ended; durations in seconds.
    """

    __slots__ = (
        "buckets",
        "bytes_in",
        "bytes_out",
        "decisions",
        "duration_sum_s",
        "name",
        "outcomes",
        "statuses",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.decisions: dict[Reason, int] = {}
        self.outcomes: dict[Reason, int] = {}
        self.statuses = [0] * len(STATUS_CLASSES)
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.duration_sum_s = 0.0
        self.bytes_in = 0
        self.bytes_out = 0

    def decided(self, reason: Reason) -> None:
        """Count one decision."""
        self.decisions[reason] = self.decisions.get(reason, 0) + 1

    def answered(self, status: int, duration_s: float) -> None:
        """Count one response, ours or the upstream's, with the time from head to last byte."""
        # RFC 9110 section 15: what is out of range is treated as a 5xx; the upstream may send 999.
        self.statuses[min(max(status // 100, 1), 5) - 1] += 1
        self.buckets[bisect_left(BUCKETS_S, duration_s)] += 1
        self.duration_sum_s += duration_s

    def ended(self, reason: Reason, bytes_in: int, bytes_out: int) -> None:
        """Count how one forwarded request ended, with its body bytes both ways."""
        self.outcomes[reason] = self.outcomes.get(reason, 0) + 1
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out


class RequestMetrics:
    """The counts of every route, and the collector that shows them."""

    __slots__ = ("routes", "unrouted")

    def __init__(self) -> None:
        self.unrouted = RouteCounts("")
        self.routes: dict[str, RouteCounts] = {"": self.unrouted}

    def route(self, name: str) -> RouteCounts:
        """Return the counts of the route `name`; the same object for a route that outlives a reload."""
        return self.routes.setdefault(name, RouteCounts(name))

    def keep(self, names: Iterable[str]) -> None:
        """Forget all routes but these, or names would pile up with each reload."""
        kept = {"", *names}
        self.routes = {name: counts for name, counts in self.routes.items() if name in kept}

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families of all routes that were asked for at least once."""
        used = [counts for counts in list(self.routes.values()) if counts.decisions]
        yield _by_reason(
            "rolegate_decisions",
            "Decisions by route and reason; `allowed` and `public` were forwarded, all others refused.",
            ((counts.name, counts.decisions) for counts in used),
        )
        yield _by_reason(
            "rolegate_outcomes",
            "Ends of forwarded requests by route and reason; `completed` is the good one.",
            ((counts.name, counts.outcomes) for counts in used),
        )
        responses = CounterMetricFamily(
            "rolegate_responses",
            "Responses to clients by route and status class.",
            labels=["route", "status"],
        )
        for counts in used:
            for status, count in zip(STATUS_CLASSES, counts.statuses, strict=True):
                if count:
                    responses.add_metric([counts.name, status], count)
        yield responses
        yield _durations(used)
        yield _body_bytes(
            "rolegate_request_body_bytes", "Request body bytes forwarded upstream.", used, "bytes_in"
        )
        yield _body_bytes(
            "rolegate_response_body_bytes", "Response body bytes sent to clients.", used, "bytes_out"
        )


def _by_reason(name: str, text: str, rows: Iterable[tuple[str, dict[Reason, int]]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["route", "reason"])
    for route, by_reason in rows:
        for reason, count in by_reason.items():
            family.add_metric([route, reason.value], count)
    return family


def _durations(used: list[RouteCounts]) -> Metric:
    family = HistogramMetricFamily(
        "rolegate_request_duration_seconds",
        "Time from a request's head to the last byte of its response, by route.",
        labels=["route"],
    )
    for counts in used:
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), counts.buckets, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric([counts.name], buckets=buckets, sum_value=counts.duration_sum_s)
    return family


def _body_bytes(name: str, text: str, used: list[RouteCounts], attribute: str) -> Metric:
    family = CounterMetricFamily(name, text, labels=["route"])
    for counts in used:
        family.add_metric([counts.name], getattr(counts, attribute))
    return family
