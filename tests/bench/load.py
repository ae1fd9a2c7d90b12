"""One measurement: wrk for some seconds against one port, and what that cost the processes involved."""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.peer import LOAD_CORE
from tests.bench.usage import cpu_seconds, resident_bytes
from tests.kit.ports import LOOPBACK
from tests.kit.processes import Process
from tests.kit.programs import program

CONNECTIONS = 32
PATH = "/api/deployments/production"

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


class BenchmarkError(Exception):
    """What was to be measured does not work, so that its speed means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    What wrk does: to which path, with which token, by which of our scripts and its arguments.

    `is_refused` says that every answer is to be a refusal; otherwise every one is to be a success.
    """

    path: str = PATH
    token: str | None = None
    connections: int = CONNECTIONS
    script: Path | None = None
    arguments: tuple[str, ...] = ()
    is_refused: bool = False
    scheme: str = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What wrk printed; `not_success` counts answers outside 2xx and 3xx, `errors` what was no answer."""

    requests: int
    requests_per_s: float
    not_success: int
    errors: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    What one run measured; for echoed messages, a message is the request.

    CPU time is per request, of all threads and processes of the proxy; `proxy_cpu_us` is 0 where the load
    goes to the upstream directly. `busy` is the share of its core that the proxy used.
    """

    requests_per_s: float
    proxy_cpu_us: float
    upstream_cpu_us: float
    p50_ms: float
    p99_ms: float
    resident_bytes: int
    busy: float


def measure(target: Process, port: int, upstream: Process, load: Load, seconds: float) -> Sample:
    """Load `port` of `target` for some seconds; `target` is `upstream` where no proxy is between."""
    before, start = (cpu_seconds(target.pid), cpu_seconds(upstream.pid)), time.monotonic()
    answers = require_answers(run_wrk(port, load, seconds), load, port)
    elapsed = time.monotonic() - start
    used, behind = (
        cpu_seconds(process.pid) - earlier
        for process, earlier in zip((target, upstream), before, strict=True)
    )
    return Sample(
        requests_per_s=answers.requests_per_s,
        proxy_cpu_us=0.0 if target is upstream else used / answers.requests * 1e6,
        upstream_cpu_us=behind / answers.requests * 1e6,
        p50_ms=answers.p50_ms,
        p99_ms=answers.p99_ms,
        resident_bytes=resident_bytes(target.pid),
        busy=used / elapsed,
    )


def run_wrk(port: int, load: Load, seconds: float) -> Answers:
    """Load `port` for some seconds, or until the script has had enough."""
    command = wrk_command(port, load, seconds)
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    return parse_wrk(result.stdout)


def wrk_command(port: int, load: Load, seconds: float) -> list[str]:
    """Return the command line of wrk."""
    token = () if load.token is None else ("--header", f"Authorization: Bearer {load.token}")
    script = () if load.script is None else ("--script", str(load.script))
    return [
        *(program("taskset"), "--cpu-list", str(LOAD_CORE)),
        *(program("wrk"), "--threads", "1", "--connections", str(load.connections), "--latency"),
        *("--timeout", "10s", "--duration", f"{max(1, round(seconds))}s", *token, *script),
        *(f"{load.scheme}://{LOOPBACK}:{port}{load.path}", "--", *load.arguments),
    ]


def parse_wrk(output: str) -> Answers:
    """Read what wrk prints, or raise BenchmarkError."""
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    not_success = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return Answers(
        requests=int(_find(r"(\d+) requests in", output)[0]),
        requests_per_s=float(_find(r"Requests/sec:\s+([\d.]+)", output)[0]),
        not_success=0 if not_success is None else int(not_success[1]),
        errors=0 if errors is None else sum(map(int, errors.groups())),
        p50_ms=_latency_ms("50%", output),
        p99_ms=_latency_ms("99%", output),
    )


def require_answers(answers: Answers, load: Load, port: int) -> Answers:
    """Return the answers; raise if there were none, errors, or any that was not the one expected."""
    refused = answers.requests if load.is_refused else 0
    # A connection that is closed behind a refusal is opened anew, and wrk calls that an error.
    if answers.requests and answers.not_success == refused and (load.is_refused or not answers.errors):
        return answers
    raise BenchmarkError(f"port {port} does not answer {load.path} as it should: {answers}")


def _latency_ms(percentile: str, output: str) -> float:
    number, unit = _find(rf"{percentile}\s+([\d.]+)(us|ms|s|m)\b", output)
    return float(number) * SECONDS[unit] * 1e3


def _find(pattern: str, output: str) -> tuple[str, ...]:
    found = re.search(pattern, output)
    if found is None:
        raise BenchmarkError(f"wrk printed nothing that matches `{pattern}`:\n{output}")
    return found.groups()
