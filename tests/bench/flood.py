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

from tests.bench import contestants as who
from tests.bench.contestants import Runner
from tests.bench.credentials import Credentials
from tests.bench.load import Answers, BenchmarkError, Load, parse_wrk, run_wrk, wrk_command
from tests.bench.scenarios import LUA, PACED_CONNECTIONS, TIMER_MS

GOOD_PER_S = 2_000
FLOOD_CONNECTIONS = 32
CONTESTANTS = (who.OURS, who.ENVOY, who.HAPROXY)

ALONE = "nothing else"
NO_TOKEN = "no token"
ONE_FORGED = "one forged token"
EACH_ANOTHER = "forged tokens, each another"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One measurement: what the good requests met, and how many bad ones were refused meanwhile."""

    good: Answers
    bad_per_s: float


Flooded = dict[str, dict[str, list[Beside]]]
"""By what came beside the good requests and by contestant, one measurement per round."""


def floods(credentials: Credentials) -> dict[str, Load]:
    """Return what comes beside the good requests."""
    return {
        NO_TOKEN: Load(is_refused=True, connections=FLOOD_CONNECTIONS),
        ONE_FORGED: Load(token=credentials.forged, is_refused=True, connections=FLOOD_CONNECTIONS),
        EACH_ANOTHER: Load(
            script=LUA / "flood.lua",
            arguments=(credentials.good,),
            is_refused=True,
            connections=FLOOD_CONNECTIONS,
        ),
    }


def beside_floods(
    contestants: dict[str, Runner],
    credentials: Credentials,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> Flooded:
    """Return how the good requests fared with each contestant."""
    good = Load(
        token=credentials.good,
        connections=PACED_CONNECTIONS,
        script=LUA / "pace.lua",
        arguments=(f"{PACED_CONNECTIONS / GOOD_PER_S * 1e3 - TIMER_MS:.3f}",),
    )
    found: Flooded = {name: {} for name in (ALONE, *floods(credentials))}
    for contestant in contestants.values():
        run_wrk(contestant.port, good, 1)
    for number in range(rounds):
        say(f"floods, round {number + 1} of {rounds}")
        for name, contestant in contestants.items():
            alone = Beside(good=_good(run_wrk(contestant.port, good, seconds)), bad_per_s=0.0)
            found[ALONE].setdefault(name, []).append(alone)
            for kind, bad in floods(credentials).items():
                beside = _beside(contestant.port, good, bad, seconds)
                found[kind].setdefault(name, []).append(beside)
    return found


def _beside(port: int, good: Load, bad: Load, seconds: float) -> Beside:
    with flooded(port, bad, seconds + 1) as flood:
        answers = _good(run_wrk(port, good, seconds))
        refused = parse_wrk(flood.communicate(timeout=seconds + 60)[0])
    if refused.not_success != refused.requests:
        raise BenchmarkError(f"port {port} did not refuse everything of a flood: {refused}")
    return Beside(good=answers, bad_per_s=refused.requests_per_s)


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
