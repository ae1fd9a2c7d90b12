"""
The metrics of all workers as those of one service.

Counters and histograms are added up. What a dead worker had counted stays in the sum, or Prometheus
would take the smaller sum for a restart and count everything that is left once more. Of a worker that does
not answer the last known counts are used. A gauge is added up only where that means something; each
one that is not is named below. What is not named at all gets the label `worker`: never wrong, if
more than needed.
"""

import operator
from collections.abc import Callable, Iterable, Mapping

from proxy.control.families import Family, Report, Sample

Join = Callable[[float, float], float]

# Parts of a whole: sockets, entries and requests of each worker are its own.
SUMMED = frozenset(
    {
        "rolegate_client_connections",
        "rolegate_open_streams",
        "rolegate_route_requests_in_flight",
        "rolegate_token_cache_entries",
        "rolegate_token_failures_entries",
        "rolegate_upstream_connections",
        "rolegate_upstream_waiting_requests",
        # Only the supervisor knows these; it has a row for each worker already.
        "rolegate_worker_up",
    }
)

# The worst of all is what matters: a worker without keys refuses its share of requests.
LOWEST = frozenset(
    {
        "rolegate_audit_available",
        "rolegate_certificate_not_after_seconds",
        "rolegate_issuer_keys",
        "rolegate_policy_loaded_timestamp_seconds",
    }
)
HIGHEST = frozenset(
    {
        "rolegate_issuer_keys_age_seconds",
        # One table in memory that all share: each worker counts the same entries.
        "rolegate_rate_limit_table_entries",
    }
)

# Each worker judges endpoints by its own requests and checks, and they may differ.
APART = frozenset({"rolegate_endpoint_state"})

# Always 1, with what is said in the labels; workers that differ show as two rows.
SAME = frozenset({"rolegate_build_info", "rolegate_policy_info", "python_info"})

# Of one process by their meaning, counters included.
PER_PROCESS = "process_"

_ADDED_KINDS = frozenset({"counter", "histogram", "summary"})

Key = tuple[str, tuple[tuple[str, str], ...]]


class Ledger:
    """What every worker said last, and what those that ended had counted."""

    __slots__ = ("_departed", "_last")

    def __init__(self) -> None:
        self._last: dict[str, Report] = {}
        self._departed = Report([], [])

    def note(self, name: str, report: Report) -> None:
        """Take what the process `name` says of itself."""
        self._last[name] = report

    def ended(self, name: str) -> None:
        """Keep what a process that ended had counted; another one of that name begins at zero."""
        report = self._last.pop(name, None)
        if report is not None:
            counted = [family for family in report.families if _is_added(family)]
            self._departed = Report(merge({"": Report(counted, []), " ": self._departed}), [])

    def merged(self, answering: Iterable[str]) -> list[Family]:
        """Return the families of all; gauges only of those processes that are `answering`."""
        present = set(answering)
        reports = {
            name: report if name in present else _counted(report) for name, report in self._last.items()
        }
        return merge({**reports, " ": self._departed})


def merge(reports: Mapping[str, Report]) -> list[Family]:
    """Return one family for each that any of `reports`, by the name of the process, has."""
    merged: dict[str, tuple[Family, dict[Key, Sample]]] = {}
    for name, report in reports.items():
        for family in report.families:
            into = merged.setdefault(family.name, (Family(family.name, family.text, family.kind, []), {}))[1]
            _add(family, name, into)
    for family, samples in merged.values():
        family.samples = list(samples.values())
    return [family for family, _ in merged.values()]


def join_of(family: Family) -> Join | None:
    """Return how numbers of two workers become one, or None where each keeps its own."""
    if _is_added(family) or family.name in SUMMED:
        return operator.add
    if family.name in LOWEST:
        return min
    if family.name in HIGHEST or family.name in SAME:
        return max
    return None


def _is_added(family: Family) -> bool:
    return family.kind in _ADDED_KINDS and not family.name.startswith(PER_PROCESS)


def _counted(report: Report) -> Report:
    return Report([family for family in report.families if _is_added(family)], [])


def _add(family: Family, name: str, into: dict[Key, Sample]) -> None:
    join = join_of(family)
    for sample in family.samples:
        labels = sample.labels if join is not None else {**sample.labels, "worker": name}
        key = (sample.name, tuple(sorted(labels.items())))
        found = into.get(key)
        value = sample.value if found is None or join is None else join(found.value, sample.value)
        into[key] = Sample(sample.name, labels, value)
