"""
The state of the running parts as metrics, read at the moment Prometheus asks.

Each source is a function that returns rows of label values and a number, so that the parts know
nothing of Prometheus.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

Rows = Iterable[tuple[Sequence[str], float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One metric family: `name` without the `_total` of a counter, and where its numbers come from."""

    name: str
    text: str
    rows: Callable[[], Rows]
    labels: tuple[str, ...] = ()
    is_counter: bool = False


class StateMetrics:
    """Collects from all sources."""

    __slots__ = ("_sources",)

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = tuple(sources)

    def collect(self) -> Iterator[Metric]:
        """Yield one family a source."""
        for source in self._sources:
            kind = CounterMetricFamily if source.is_counter else GaugeMetricFamily
            family = kind(source.name, source.text, labels=source.labels)
            for labels, number in source.rows():
                family.add_metric(list(labels), number)
            yield family
