"""A supervisor with its workers, as an operator runs them, and what the tests of it count."""

import re
from pathlib import Path

from tests.kit.rolegate import Configuration, RunningProxy
from tests.record.audit_trail import read_chain

SERVES = re.compile(r"worker (\d+) serves \(pid (\d+)\)")


class Crew(RunningProxy):
    """`rolegate serve` with several workers."""

    name = "crew"
    start_timeout_s = 60.0

    def __init__(self, configuration: Configuration, *, workers: int = 2) -> None:
        super().__init__({"workers": workers, **configuration})
        self.count = workers

    def is_ready(self) -> bool:
        """Say whether all serve, and the log says so: it is written behind the event loop's back."""
        return super().is_ready() and len(self.pids()) == self.count

    def pids(self) -> dict[int, int]:
        """Return the process id of each worker, the last one of each number."""
        return {int(number): int(pid) for number, pid in SERVES.findall(self.log_text())}

    def chain(self, number: int) -> list[dict[str, object]]:
        """Return the records of one worker, after checking the chain."""
        path = self.audit_file(number)
        return read_chain(path.read_bytes()) if path.exists() else []

    def audit_file(self, number: int) -> Path:
        """Return the audit file of one worker."""
        return self.folder / f"audit.{number}.jsonl"

    def all_records(self) -> list[dict[str, object]]:
        """Return the records of all workers."""
        return [record for number in range(self.count) for record in self.chain(number)]


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
