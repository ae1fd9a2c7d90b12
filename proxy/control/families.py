"""
Metrics as values, from one worker to the supervisor that adds them up.

Text for Prometheus would have to be parsed again, which takes far longer than all the rest of a scrape.
"""

from collections.abc import Iterable

import msgspec
from prometheus_client.metrics_core import Metric


class Sample(msgspec.Struct, array_like=True):
    """One number with its labels."""

    name: str
    labels: dict[str, str]
    value: float


class Family(msgspec.Struct, array_like=True):
    """One metric with its samples; `kind` is the type that Prometheus knows."""

    name: str
    text: str
    kind: str
    samples: list[Sample]


class Report(msgspec.Struct, array_like=True):
    """What a worker says of itself: its metrics, and what keeps it from being ready."""

    families: list[Family]
    missing: list[str]


def encode(metrics: Iterable[Metric], missing: list[str]) -> bytes:
    """Return a report as bytes."""
    return msgspec.msgpack.encode(Report([family_of(metric) for metric in metrics], missing))


def decode(data: bytes) -> Report:
    """Return the report that `encode` made, or raise ValueError."""
    try:
        return msgspec.msgpack.decode(data, type=Report)
    except msgspec.DecodeError as error:
        raise ValueError("what came is no report") from error


def family_of(metric: Metric) -> Family:
    """Return a metric as a value."""
    samples = [Sample(sample.name, dict(sample.labels), float(sample.value)) for sample in metric.samples]
    return Family(metric.name, metric.documentation, metric.type, samples)


def metric_of(family: Family) -> Metric:
    """Return a value as a metric."""
    metric = Metric(family.name, family.text, family.kind)
    for sample in family.samples:
        metric.add_sample(sample.name, sample.labels, sample.value)
    return metric
