"""
Asks every worker how it does, whenever somebody asks the supervisor.

Law: the answer comes in bounded time, whatever a worker does. One that is dead or stuck costs at most
`GATHER_S`, once for everybody who is asking.
"""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from proxy.control.families import Report, family_of, metric_of
from proxy.tasks import TaskOwner
from proxy.workers.merging import Ledger

GATHER_S = 2.0

SUPERVISOR = "supervisor"
"""The label of what is about the supervisor's own process."""


class Asked(Protocol):
    """A worker, as far as it is asked here."""

    number: int

    async def report(self, within_s: float) -> Report | None:
        """Return what it says of itself, or None."""


class Gathering:
    """The one view of all workers; a collector of the merged metrics."""

    __slots__ = ("_answering", "_flight", "_ledger", "_own", "_reports", "_tasks", "workers")

    def __init__(self, own: CollectorRegistry, tasks: TaskOwner) -> None:
        self.workers: dict[int, Asked] = {}
        self._own = own
        self._tasks = tasks
        self._ledger = Ledger()
        self._answering: set[str] = set()
        self._reports: dict[int, Report | None] = {}
        self._flight: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """Ask all workers, together with whoever else is asking."""
        if self._flight is None or self._flight.done():
            self._flight = self._tasks.spawn(self._look(), name="ask the workers")
        await asyncio.wait([self._flight])

    def ended(self, number: int) -> None:
        """Note that a worker ended."""
        self.workers.pop(number, None)
        self._reports.pop(number, None)
        self._ledger.ended(str(number))

    def missing(self, numbers: Iterable[int]) -> list[str]:
        """Return what keeps the workers of these numbers from being ready, as of the last look."""
        lacking = []
        for number in numbers:
            report = self._reports.get(number)
            if number not in self.workers:
                lacking.append(f"worker {number} is not running")
            elif report is None:
                lacking.append(f"worker {number} does not answer")
            else:
                lacking += [f"worker {number}: {what}" for what in report.missing]
        return lacking

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of all workers and of the supervisor as of the last look."""
        own = Report([family_of(metric) for metric in self._own.collect()], [])
        self._ledger.note(SUPERVISOR, own)
        return map(metric_of, self._ledger.merged({*self._answering, SUPERVISOR}))

    async def _look(self) -> None:
        asked = dict(self.workers)
        reports = await asyncio.gather(*(worker.report(GATHER_S) for worker in asked.values()))
        found: dict[int, Report | None] = {}
        for (number, worker), report in zip(asked.items(), reports, strict=True):
            # One that ended meanwhile is accounted for; its name may be another's by now.
            if self.workers.get(number) is not worker:
                continue
            found[number] = report
            if report is not None:
                self._ledger.note(str(number), report)
        self._reports = found
        self._answering = {str(number) for number, report in found.items() if report is not None}
