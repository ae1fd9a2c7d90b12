"""A minute at full load without a single error: `make bench BENCH=--soak`."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.credentials import Credentials
from tests.bench.load import Answers, Load, run_wrk
from tests.bench.rolegate import Rolegate
from tests.bench.scenarios import LUA
from tests.bench.upstream import POST_PATH, POSTED_BYTES, Upstream
from tests.bench.usage import resident_bytes

CONNECTIONS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Endured:
    """How one kind of load went: what wrk saw, and by how much resident memory grew from a warm start."""

    answers: Answers
    grown_bytes: int

    @property
    def faults(self) -> int:
        """Answers that were not the ones asked for, and requests without any."""
        return self.answers.not_success + self.answers.errors


def endure(
    upstream: Upstream, credentials: Credentials, seconds: float, say: Callable[[str], None]
) -> dict[str, Endured]:
    """Put rolegate under full load, kind by kind, for `seconds` each."""
    good = credentials.good
    loads = {
        "small GET": Load(token=good, connections=CONNECTIONS),
        "GET of 16 KiB": Load(path="/api/16k", token=good, connections=CONNECTIONS),
        "POST of 64 KiB": Load(
            path=POST_PATH,
            token=good,
            connections=CONNECTIONS,
            script=LUA / "post.lua",
            arguments=(str(POSTED_BYTES),),
        ),
    }
    found: dict[str, Endured] = {}
    with Rolegate(upstream.port, credentials) as proxy:
        for name, load in loads.items():
            say(f"{name} for {seconds:g} s")
            run_wrk(proxy.port, load, 1)
            before = resident_bytes(proxy.pid)
            answers = run_wrk(proxy.port, load, seconds)
            found[name] = Endured(answers=answers, grown_bytes=resident_bytes(proxy.pid) - before)
    return found


def line(name: str, endured: Endured) -> str:
    """Return how one kind of load went, in a sentence."""
    answers = endured.answers
    return (
        f"{name}: {answers.requests:,} requests, {answers.requests_per_s:,.0f}/s,"
        f" {answers.not_success} answers without success, {answers.errors} socket errors,"
        f" p99 {answers.p99_ms:.1f} ms, resident memory grew by {endured.grown_bytes / 2**20:.1f} MiB"
    )
