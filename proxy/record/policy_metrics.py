"""Which policy is in force, since when, and how often a reload brought another one or failed."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric


class PolicyMetrics:
    """The version in force and when it was loaded, in epoch seconds."""

    __slots__ = ("loaded_at", "version")

    def __init__(self) -> None:
        self.version = ""
        self.loaded_at = 0.0

    def loaded(self, version: str, at: float) -> None:
        """Note that another configuration is in force, maybe with the same policy."""
        self.version = version
        self.loaded_at = at

    def collect(self) -> Iterator[Metric]:
        """Yield the version as a label and the time."""
        info = GaugeMetricFamily(
            "rolegate_policy_info",
            "Always 1; the label is the `policy_version` of audit records.",
            labels=["version"],
        )
        info.add_metric([self.version], 1)
        yield info
        yield GaugeMetricFamily(
            "rolegate_policy_loaded_timestamp_seconds",
            "When the configuration in force was loaded.",
            value=self.loaded_at,
        )


class ReloadCounts:
    """Reloads that succeeded and that failed."""

    __slots__ = ("failed", "succeeded")

    def __init__(self) -> None:
        self.succeeded = 0
        self.failed = 0

    def collect(self) -> Iterator[Metric]:
        """Yield both."""
        family = CounterMetricFamily(
            "rolegate_reloads", "Reloads of the configuration by result.", labels=["result"]
        )
        family.add_metric(["success"], self.succeeded)
        family.add_metric(["failure"], self.failed)
        yield family
