"""
What is asked of the contestants, and the rounds in which it is.

Rounds are interleaved: each contestant does each scenario once per round, so that what disturbs the machine
for a while disturbs everybody, and figures are compared within a round. The samples are all kept: how far
they lie apart says how much a difference means.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import contestants as who
from tests.bench.contestants import Runner
from tests.bench.credentials import Credentials
from tests.bench.load import BenchmarkError, Load, Sample, measure, run_wrk
from tests.bench.upstream import POST_PATH, POSTED_BYTES, Upstream

LUA = Path(__file__).with_name("lua")

COLD_CONNECTIONS = 32
PACED_CONNECTIONS = 256
# The timers of wrk are late by this much in the mean.
TIMER_MS = 0.5

Samples = dict[str, list[Sample]]
"""By contestant, one sample per round."""
Measured = dict[str, Samples]
"""By scenario."""

EVERYBODY = (who.OURS, who.HAPROXY, who.ENVOY, who.APACHE, who.NGINX)
CHECKING = (who.OURS, who.HAPROXY, who.ENVOY, who.APACHE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of request; `load` says for a contestant what wrk does, given what was measured before."""

    name: str
    title: str
    contestants: tuple[str, ...]
    load: Callable[["Round", Runner], Load]


@dataclass(slots=True, kw_only=True)
class Round:
    """What a round works with; the tokens that nobody has seen are others in each."""

    upstream: Upstream
    credentials: Credentials
    seconds: float
    cold_tokens: "ColdTokens"


class ColdTokens:
    """Tokens that each contestant sees once: one file of them per round."""

    def __init__(self, folder: Path, credentials: Credentials, count: int) -> None:
        self.count = count
        self.path = folder / "tokens"
        self._credentials = credentials

    def renew(self) -> None:
        """Sign as many again; wrk's connections run ahead by one request each."""
        tokens = self._credentials.cold(self.count + 2 * COLD_CONNECTIONS)
        self.path.write_text("".join(f"{token}\n" for token in tokens))


def simple(path: str) -> Callable[[Round, Runner], Load]:
    """Return the load of plain requests for a path with the good token."""
    return lambda now, _: Load(path=path, token=now.credentials.good)


def cold(now: Round, _: Runner) -> Load:
    """Return the load in which every token is new."""
    arguments = (str(now.cold_tokens.path), str(now.cold_tokens.count))
    return Load(connections=COLD_CONNECTIONS, script=LUA / "cold.lua", arguments=arguments)


def post(now: Round, _: Runner) -> Load:
    """Return the load of posted bodies."""
    return Load(
        path=POST_PATH,
        token=now.credentials.good,
        script=LUA / "post.lua",
        arguments=(str(POSTED_BYTES),),
    )


def half(now: Round, contestant: Runner) -> Load:
    """Return the load of independent callers, at half of what the contestant is capable of just now."""
    maximum = run_wrk(contestant.port, Load(token=now.credentials.good), 1).requests_per_s
    mean_ms = pause_ms(maximum / 2)
    return Load(
        token=now.credentials.good,
        connections=PACED_CONNECTIONS,
        script=LUA / "pace.lua",
        arguments=(f"{mean_ms:.3f}",),
    )


def pause_ms(rate: float) -> float:
    """Return for how long each of the paced connections pauses in the mean, for `rate` requests a second."""
    return max(1.0, PACED_CONNECTIONS / rate * 1e3 - TIMER_MS)


SCENARIOS = (
    Scenario(
        name="small",
        title="small GET, cached token",
        contestants=(*EVERYBODY, who.INTERPRETED, who.HAPROXY_LOG, who.ENVOY_LOG),
        load=simple("/api/deployments/production"),
    ),
    Scenario(name="16k", title="GET of 16 KiB", contestants=EVERYBODY, load=simple("/api/16k")),
    Scenario(name="1m", title="GET of 1 MiB", contestants=EVERYBODY, load=simple("/api/1m")),
    Scenario(name="post", title="POST of 64 KiB", contestants=EVERYBODY, load=post),
    Scenario(
        name="cold",
        title="small GET, every token new",
        contestants=(who.OURS, who.INTERPRETED, who.HAPROXY, who.ENVOY_COLD, who.APACHE),
        load=cold,
    ),
    Scenario(
        name="no-token",
        title="refused: no token",
        contestants=CHECKING,
        load=lambda now, _: Load(is_refused=True),
    ),
    Scenario(
        name="forged",
        title="refused: signed by somebody else",
        contestants=CHECKING,
        load=lambda now, _: Load(token=now.credentials.forged, is_refused=True),
    ),
    Scenario(
        name="expired",
        title="refused: expired",
        contestants=CHECKING,
        load=lambda now, _: Load(token=now.credentials.expired, is_refused=True),
    ),
    Scenario(
        name="routes",
        title="small GET, 10,000 routes against 10",
        contestants=(who.FEW_ROUTES, who.MANY_ROUTES),
        load=simple("/api/deployments/production"),
    ),
    Scenario(name="half", title="small GET at half of the maximum rate", contestants=EVERYBODY, load=half),
)


def needed(scenarios: Iterable[Scenario]) -> list[str]:
    """Return the contestants of the scenarios, each once."""
    return list(dict.fromkeys(name for scenario in scenarios for name in scenario.contestants))


def run(
    scenarios: Sequence[Scenario],
    contestants: dict[str, Runner],
    now: Round,
    rounds: int,
    say: Callable[[str], None],
) -> tuple[Measured, list[str]]:
    """Measure every scenario in each round; what fails is left out from then on, with a sentence."""
    measured: Measured = {scenario.name: {} for scenario in scenarios}
    remarks: list[str] = []
    for contestant in contestants.values():
        run_wrk(contestant.port, Load(token=now.credentials.good), 1)  # warm
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        if any(scenario.name == "cold" for scenario in scenarios):
            now.cold_tokens.renew()
        for scenario, name in turns(scenarios, contestants):
            samples = measured[scenario.name].setdefault(name, [])
            if len(samples) < number:
                continue
            try:
                samples.append(one(scenario, contestants[name], now))
            except BenchmarkError as error:
                remarks.append(f"{name} is left out of `{scenario.name}`: {error}.")
    return complete(measured, rounds), remarks


def one(scenario: Scenario, contestant: Runner, now: Round) -> Sample:
    """Measure one contestant once."""
    load = scenario.load(now, contestant)
    return measure(contestant, contestant.port, now.upstream, load, now.seconds)


def turns(scenarios: Sequence[Scenario], contestants: dict[str, Runner]) -> Iterator[tuple[Scenario, str]]:
    """Yield who does what in a round, in order."""
    for scenario in scenarios:
        for name in scenario.contestants:
            if name in contestants:
                yield scenario, name


def complete(measured: Measured, rounds: int) -> Measured:
    """Return what was measured without those who missed a round: they could not be compared within it."""
    return {
        scenario: {name: taken for name, taken in samples.items() if len(taken) == rounds}
        for scenario, samples in measured.items()
    }
