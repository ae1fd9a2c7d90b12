"""One measurement: wrk for some seconds against one port, and what that cost the processes involved."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.peer import LOAD_CORE
from tests.kit.plain_http import get
from tests.kit.ports import LOOPBACK
from tests.kit.processes import Process
from tests.kit.programs import program

CONNECTIONS = 32
PATH = "/api/deployments/production"

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class BenchmarkError(Exception):
    """What was to be measured does not work, so that its speed means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    What one run measured.

    CPU time is per request, of all threads of the process; `proxy_cpu_us` is 0 where the load goes to
    the upstream directly.
    """

    requests_per_s: float
    proxy_cpu_us: float
    upstream_cpu_us: float
    p50_ms: float
    p99_ms: float
    resident_bytes: int


def cpu_seconds(pid: int) -> float:
    """Return the CPU time a process has used so far, user and system, all its threads."""
    # The name, the second field, may hold spaces; what follows its parenthesis does not.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def measure(target: Process, port: int, upstream: Process, token: str, seconds: float) -> Sample:
    """Load `port` of `target` for some seconds; `target` is `upstream` where no proxy is between."""
    before = cpu_seconds(target.pid), cpu_seconds(upstream.pid)
    output = run_wrk(port, token, seconds)
    requests = int(_find(r"(\d+) requests in", output)[0])
    proxy, behind = (
        (cpu_seconds(process.pid) - start) / requests * 1e6
        for process, start in zip((target, upstream), before, strict=True)
    )
    return Sample(
        requests_per_s=float(_find(r"Requests/sec:\s+([\d.]+)", output)[0]),
        proxy_cpu_us=0.0 if target is upstream else proxy,
        upstream_cpu_us=behind,
        p50_ms=_latency_ms("50%", output),
        p99_ms=_latency_ms("99%", output),
        resident_bytes=target.resident_bytes(),
    )


def run_wrk(port: int, token: str, seconds: float) -> str:
    """Return what wrk prints; raise if any request was not answered with success."""
    command = [
        *(program("taskset"), "--cpu-list", str(LOAD_CORE)),
        *(program("wrk"), "--threads", "1", "--connections", str(CONNECTIONS), "--latency"),
        *("--duration", f"{seconds:g}s", "--header", f"Authorization: Bearer {token}"),
        f"http://{LOOPBACK}:{port}{PATH}",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    for complaint in ("Non-2xx", "Socket errors"):
        if complaint in result.stdout:
            raise BenchmarkError(f"port {port} does not answer as it should:\n{result.stdout}")
    return result.stdout


def require_status(port: int, token: str | None, expected: set[int]) -> None:
    """Raise unless a request with this token is answered with one of the statuses expected."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    status, body = get(port, PATH, headers=headers)
    if status not in expected:
        raise BenchmarkError(f"port {port} answers {status} where {sorted(expected)} is expected:\n{body}")


def _latency_ms(percentile: str, output: str) -> float:
    number, unit = _find(rf"{percentile}\s+([\d.]+)(us|ms|s)\b", output)
    return float(number) * SECONDS[unit] * 1e3


def _find(pattern: str, output: str) -> tuple[str, ...]:
    found = re.search(pattern, output)
    if found is None:
        raise BenchmarkError(f"wrk printed nothing that matches `{pattern}`:\n{output}")
    return found.groups()
