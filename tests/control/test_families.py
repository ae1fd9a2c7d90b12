"""Metrics on their way from a worker to the supervisor stay what they were."""

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from proxy.control.families import decode, encode, family_of, metric_of


def registry() -> CollectorRegistry:
    made = CollectorRegistry(auto_describe=False)
    Counter("a", "A.", ["route"], registry=made).labels('x"\n\\').inc(3)
    Gauge("b", "B\nb.", registry=made).set(math.inf)
    Histogram("c", "C.", ["route"], registry=made, buckets=(0.1, 1.0)).labels("x").observe(0.5)
    return made


def test_what_prometheus_reads_is_the_same_at_the_other_end() -> None:
    made = registry()
    received = decode(encode(made.collect(), ["keys"]))

    class Other:
        def collect(self) -> object:
            return map(metric_of, received.families)

    other = CollectorRegistry(auto_describe=False)
    other.register(Other())  # type: ignore[arg-type] # a collector needs no more than that
    assert generate_latest(other) == generate_latest(made)
    assert received.missing == ["keys"]


def test_not_a_number_stays_so() -> None:
    gauge = Gauge("b", "B.", registry=None)
    gauge.set(math.nan)
    (family,) = decode(encode(gauge.collect(), [])).families
    assert math.isnan(family.samples[0].value)
    assert family_of(metric_of(family)).samples[0].name == "b"


@pytest.mark.parametrize("data", [b"", b"\xc1", b"[]", b"\x92\x90"])
def test_what_is_no_report_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="no report"):
        decode(data)
