"""
What a second worker brings.

Everything, load and upstream included, runs on one core with one worker, then on two cores with two. That
is the comparison that a machine of two cores allows: load and upstream need processor time too, so with
one worker on two cores they would have a core to themselves, and the second worker would have to
share. Whether a request costs more with two workers shows in the processor time of each, and in two
workers on one core, where nothing is won and all that is lost shows.
"""

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.credentials import AUDIENCE, ISSUER, PROJECT, Credentials
from tests.bench.rolegate import FromWheel
from tests.kit.nginx import Nginx
from tests.kit.ports import LOOPBACK
from tests.kit.programs import program

PATH = "/api/deployments/production"

# Enough that the kernel's spreading of connections comes near to even.
CONNECTIONS = 128

ONE = "1 worker, 1 core"
TWO = "2 workers, 2 cores"
SETUPS = {
    ONE: (1, "0"),
    "2 workers, 1 core": (2, "0"),
    "1 worker, 2 cores": (1, "0,1"),
    TWO: (2, "0,1"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One measurement; CPU time is per request, of supervisor and workers together."""

    requests_per_s: float
    cpu_us: float
    p99_ms: float
    busiest_share: float
    """The part of all requests that the worker with the most of them had: 0.5 is even between two."""


class OnCores(Nginx):
    """The upstream, on the cores of everybody."""

    def __init__(self, cores: str) -> None:
        super().__init__()
        self.cores = cores

    def prepare(self) -> Sequence[str]:
        return [program("taskset"), "--cpu-list", self.cores, *super().prepare()]


class Workers(FromWheel):
    """rolegate with pinned keys, some workers, and the cores of everybody."""

    start_timeout_s = 60.0

    def __init__(self, upstream_port: int, credentials: Credentials, workers: int, cores: str) -> None:
        super().__init__({"workers": workers, **configuration(upstream_port)})
        self.credentials = credentials
        self.workers = workers
        self.cores = cores

    def prepare(self) -> Sequence[str]:
        (self.folder / "keys.json").write_text(self.credentials.jwks)
        return [program("taskset"), "--cpu-list", self.cores, *super().prepare()]

    def decisions(self) -> list[int]:
        """Return how many decisions each worker has recorded."""
        names = [f"audit.{number}.jsonl" for number in range(self.workers)] if self.workers > 1 else []
        paths = [self.folder / name for name in names] or [self.audit_path]
        return [path.read_bytes().count(b'"kind":"decision"') if path.exists() else 0 for path in paths]

    def cpu_ns(self) -> int:
        """Return the processor time of all its processes so far."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        threads = [path for pid in (self.pid, *children) for path in Path(f"/proc/{pid}/task").iterdir()]
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)


def configuration(upstream_port: int) -> dict[str, object]:
    """Return a configuration in which the good token may do everything."""
    claims = {"project_id": PROJECT, "ref_protected": "true"}
    issuer = {"url": ISSUER, "audiences": [AUDIENCE], "profile": "gitlab-ci", "jwks_file": "keys.json"}
    route = {"match": {"paths": ["/api/**"]}, "upstream": "nginx", "allow": [{"roles": ["deployer"]}]}
    return {
        "issuers": {"gitlab": issuer},
        "roles": {"deployer": {"bindings": [{"issuer": "gitlab", "claims": claims}]}},
        "upstreams": {"nginx": {"url": f"http://{LOOPBACK}:{upstream_port}"}},
        "routes": [{"name": "api", **route}],
    }


def measure(credentials: Credentials, workers: int, cores: str, seconds: float) -> Taken:
    """Start everything on `cores`, warm up, and load it for some seconds."""
    with OnCores(cores) as upstream, Workers(upstream.port, credentials, workers, cores) as proxy:
        run_wrk(proxy, credentials.good, 1)
        decided, used = proxy.decisions(), proxy.cpu_ns()
        output = run_wrk(proxy, credentials.good, seconds)
        cpu_us = (proxy.cpu_ns() - used) / 1000
        each = [after - before for before, after in zip(decided, proxy.decisions(), strict=True)]
    number, unit = _find(r"99%\s+([\d.]+)(us|ms|s)\b", output)
    return Taken(
        requests_per_s=float(_find(r"Requests/sec:\s+([\d.]+)", output)[0]),
        cpu_us=cpu_us / sum(each),
        p99_ms=float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit],
        busiest_share=max(each) / sum(each),
    )


def run_wrk(proxy: Workers, token: str, seconds: float) -> str:
    """Return what wrk prints; raise if any request was not answered with success."""
    command = [
        *(program("taskset"), "--cpu-list", proxy.cores),
        *(program("wrk"), "--threads", "1", "--connections", str(CONNECTIONS), "--latency"),
        *("--duration", f"{seconds:g}s", "--header", f"Authorization: Bearer {token}"),
        f"http://{LOOPBACK}:{proxy.port}{PATH}",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    if "Non-2xx" in result.stdout or "Socket errors" in result.stdout:
        raise RuntimeError(f"not every request was answered as it should be:\n{result.stdout}")
    return result.stdout


def scaling(
    credentials: Credentials, rounds: int, seconds: float, say: Callable[[str], None]
) -> dict[str, list[Taken]]:
    """Return by setup what it did, once per round."""
    taken: dict[str, list[Taken]] = {name: [] for name in SETUPS}
    for number in range(rounds):
        say(f"workers, round {number + 1} of {rounds}")
        for name, (workers, cores) in SETUPS.items():
            taken[name].append(measure(credentials, workers, cores, seconds))
    return taken


def _find(pattern: str, output: str) -> tuple[str, ...]:
    found = re.search(pattern, output)
    if found is None:
        raise RuntimeError(f"wrk printed nothing that matches `{pattern}`:\n{output}")
    return found.groups()
