"""The contestants under WebSocket messages, interleaved as the other scenarios are."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from proxy.settings import schema
from tests.bench import contestants as who
from tests.bench.contestants import FACTORIES, NOT_STARTED, Runner
from tests.bench.credentials import Credentials
from tests.bench.echo import EchoServer
from tests.bench.load import BenchmarkError, Sample
from tests.bench.peer import LOAD_CORE
from tests.bench.rolegate import Rolegate
from tests.bench.scenarios import EVERYBODY, Samples
from tests.bench.usage import cpu_seconds, resident_bytes
from tests.kit.programs import program

NAME = "websocket"
ROOT = Path(__file__).parents[2]


def messages(
    credentials: Credentials, rounds: int, seconds: float, say: Callable[[str], None]
) -> tuple[Samples, list[str]]:
    """Return the samples of each contestant that lets messages through, and a sentence for each other."""
    samples: Samples = {}
    remarks: list[str] = []
    with ExitStack() as running:
        server = running.enter_context(EchoServer())
        contestants: dict[str, Runner] = {}
        for name in EVERYBODY:
            try:
                contestant = with_upgrade(name, server.port, credentials)
                running.enter_context(contestant)
                exchange(contestant, server, credentials.good, 1)
            except (*NOT_STARTED, BenchmarkError) as error:
                remarks.append(f"{name} is left out of `{NAME}`: {str(error).splitlines()[0]}.")
            else:
                contestants[name] = contestant
        for number in range(rounds):
            say(f"WebSocket, round {number + 1} of {rounds}")
            for name, contestant in contestants.items():
                sample = exchange(contestant, server, credentials.good, seconds)
                samples.setdefault(name, []).append(sample)
    return samples, remarks


def with_upgrade(name: str, port: int, credentials: Credentials) -> Runner:
    """Return a contestant that lets WebSocket through, or raise BenchmarkError."""
    if name != who.OURS:
        return FACTORIES[name](port, credentials)
    if "upgrade" not in schema.Route.model_fields:
        raise BenchmarkError("it does not know `upgrade` yet")
    return Rolegate(port, credentials, more={"upgrade": ["websocket"]})


def exchange(contestant: Runner, server: EchoServer, token: str, seconds: float) -> Sample:
    """Exchange messages for some seconds and return what one of them cost."""
    before, start = (cpu_seconds(contestant.pid), cpu_seconds(server.pid)), time.monotonic()
    command = [
        *(program("taskset"), "--cpu-list", str(LOAD_CORE)),
        *(sys.executable, "-m", "tests.bench.echo", "call", str(contestant.port), str(seconds), token),
    ]
    timeout_s = seconds + 60
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=ROOT, check=False)
    elapsed = time.monotonic() - start
    if done.returncode:
        raise BenchmarkError(done.stderr.strip().rpartition("\n")[2].rpartition("Error: ")[2])
    said = json.loads(done.stdout)
    used, behind = (
        cpu_seconds(process.pid) - earlier
        for process, earlier in zip((contestant, server), before, strict=True)
    )
    return Sample(
        requests_per_s=said["per_s"],
        proxy_cpu_us=used / said["messages"] * 1e6,
        upstream_cpu_us=behind / said["messages"] * 1e6,
        p50_ms=said["p50_ms"],
        p99_ms=said["p99_ms"],
        resident_bytes=resident_bytes(contestant.pid),
        busy=used / elapsed,
    )
