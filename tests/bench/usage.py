"""
What a program has used: processor time to the nanosecond, resident memory, its children included.

The scheduler's own account (`schedstat`) is exact where the ticks of `/proc/PID/stat` are 10 ms apart.
"""

from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for parent in found:
        found.extend(_children(parent))
    return found


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process tree, user and system, of all threads that are alive."""
    return sum(_thread_ns(thread) for each in tree(pid) for thread in _threads(each)) / 1e9


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process tree; what several of its processes share counts once."""
    family = tree(pid)
    if len(family) == 1:
        return status_bytes(pid, "VmRSS:")
    return sum(_field_bytes(PROC / str(each) / "smaps_rollup", "Pss:") for each in family)


def status_bytes(pid: int, name: str) -> int:
    """Return one of the quantities of memory of a single process, by its name in `/proc/PID/status`."""
    return _field_bytes(PROC / str(pid) / "status", name)


def _threads(pid: int) -> Iterator[Path]:
    try:
        yield from (PROC / str(pid) / "task").iterdir()
    except FileNotFoundError:
        return  # it ended meanwhile


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in _threads(pid):
        try:
            found.extend(map(int, (thread / "children").read_text().split()))
        except FileNotFoundError:
            continue
    return found


def _thread_ns(thread: Path) -> int:
    try:
        return int((thread / "schedstat").read_text().split()[0])
    except FileNotFoundError:
        return 0


def _field_bytes(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0
