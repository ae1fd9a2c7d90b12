"""
Good requests beside a flood of bad ones: what everybody else notices of an attacker.

The good ones come at a fixed rate, from callers that are independent of each other. The flood is as fast as
its connections allow, so the proxy's core is busy all the time, and what is measured is how long the good
ones wait.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench.credentials import Credentials
from tests.bench.load import Answers, BenchmarkError, Load, parse_wrk, run_wrk, wrk_command
from tests.bench.rolegate import Rolegate
from tests.bench.scenarios import LUA, PACED_CONNECTIONS, TIMER_MS
from tests.bench.upstream import Upstream

GOOD_PER_S = 2_000
FLOOD_CONNECTIONS = 32
ALONE = "nothing else"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One measurement: what the good requests met, and how many bad ones were refused meanwhile."""

    good: Answers
    bad_per_s: float


def floods(credentials: Credentials) -> dict[str, Load]:
    """Return what comes beside the good requests."""
    return {
        "no token": Load(is_refused=True, connections=FLOOD_CONNECTIONS),
        "one forged token": Load(token=credentials.forged, is_refused=True, connections=FLOOD_CONNECTIONS),
        "forged tokens, each another": Load(
            script=LUA / "flood.lua",
            arguments=(credentials.good,),
            is_refused=True,
            connections=FLOOD_CONNECTIONS,
        ),
    }


def beside_floods(
    upstream: Upstream, credentials: Credentials, rounds: int, seconds: float, say: Callable[[str], None]
) -> dict[str, list[Beside]]:
    """Return by what came beside them how the good requests fared, once per round."""
    good = Load(
        token=credentials.good,
        connections=PACED_CONNECTIONS,
        script=LUA / "pace.lua",
        arguments=(f"{PACED_CONNECTIONS / GOOD_PER_S * 1e3 - TIMER_MS:.3f}",),
    )
    found: dict[str, list[Beside]] = {ALONE: [], **{name: [] for name in floods(credentials)}}
    with Rolegate(upstream.port, credentials) as proxy:
        run_wrk(proxy.port, good, 1)
        for number in range(rounds):
            say(f"floods, round {number + 1} of {rounds}")
            found[ALONE].append(Beside(good=_good(run_wrk(proxy.port, good, seconds)), bad_per_s=0.0))
            for name, load in floods(credentials).items():
                with flooded(proxy.port, load, seconds + 1) as flood:
                    answers = _good(run_wrk(proxy.port, good, seconds))
                    bad = parse_wrk(flood.communicate(timeout=seconds + 60)[0])
                if bad.not_success != bad.requests:
                    raise BenchmarkError(f"of a flood ({name}) not everything was refused: {bad}")
                found[name].append(Beside(good=answers, bad_per_s=bad.requests_per_s))
    return found


@contextmanager
def flooded(port: int, load: Load, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """Run a flood meanwhile; it ends by itself, and with the block at the latest."""
    flood = subprocess.Popen(wrk_command(port, load, seconds), stdout=subprocess.PIPE, text=True)
    try:
        yield flood
    finally:
        flood.kill()
        flood.wait()


def _good(answers: Answers) -> Answers:
    if answers.not_success or answers.errors:
        raise BenchmarkError(f"a good request was not answered beside a flood: {answers}")
    return answers
