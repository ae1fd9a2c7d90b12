"""What rolegate is meant to cost, and whether it does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench import contestants as who
from tests.bench.idle import Memory
from tests.bench.load import Sample
from tests.bench.results import Results
from tests.bench.scenarios import Measured
from tests.bench.workers import ONE, TWO, Taken

Quantity = Callable[[Sample], float]


def cpu_us(sample: Sample) -> float:
    """The proxy's processor time per request."""
    return sample.proxy_cpu_us


def p99_ms(sample: Sample) -> float:
    """The delay that one request in a hundred exceeds."""
    return sample.p99_ms


def throughput(sample: Sample) -> float:
    """Requests per second of the clock."""
    return sample.requests_per_s


def per_core_second(sample: Sample) -> float:
    """Requests per second of the proxy's processor time: what one core could do if it were never waiting."""
    return 1e6 / sample.proxy_cpu_us


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a ratio: a contestant in a scenario."""

    scenario: str
    contestant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A promise: the ratio of `ours` to `theirs` is at most, or at least, so much."""

    words: str
    ours: Side
    theirs: Side
    quantity: Quantity = cpu_us
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a promise, in words; `is_met` is None where it was not measured."""

    words: str
    limit: str
    measured: str
    spread: str
    is_met: bool | None


def _small(contestant: str) -> Side:
    return Side("small", contestant)


def _refused(scenario: str, words: str) -> Target:
    return Target(
        words=f"refused ({words}), CPU against an accepted request",
        ours=Side(scenario, who.OURS),
        theirs=_small(who.OURS),
        at_most=0.5,
    )


def _megabyte(words: str, quantity: Quantity) -> Target:
    return Target(
        words=f"GET of 1 MiB, {words} against nginx's",
        ours=Side("1m", who.OURS),
        theirs=Side("1m", who.NGINX),
        quantity=quantity,
        at_least=0.7,
    )


TARGETS = (
    Target(
        words="small GET, CPU against Envoy", ours=_small(who.OURS), theirs=_small(who.ENVOY), at_most=0.5
    ),
    Target(
        words="small GET, CPU against HAProxy", ours=_small(who.OURS), theirs=_small(who.HAPROXY), at_most=1.1
    ),
    Target(
        words="p99 at half load against nginx's",
        ours=Side("half", who.OURS),
        theirs=Side("half", who.NGINX),
        quantity=p99_ms,
        at_most=2.0,
    ),
    Target(
        words="every token new, CPU against Envoy without its cache",
        ours=Side("cold", who.OURS),
        theirs=Side("cold", who.ENVOY_COLD),
        at_most=1.0,
    ),
    _refused("no-token", "no token"),
    _refused("forged", "bad signature"),
    _refused("expired", "expired"),
    _megabyte("throughput", throughput),
    _megabyte("throughput per second of CPU", per_core_second),
    Target(
        words="10,000 routes, CPU against 10",
        ours=Side("routes", who.MANY_ROUTES),
        theirs=Side("routes", who.FEW_ROUTES),
        at_most=1.2,
    ),
)

MIN_SCALING = 1.8
MAX_IDLE_MIB = 60
MAX_CONNECTION_KIB = 12


def verdicts(results: Results) -> list[Verdict]:
    """Return what became of every promise."""
    return [
        *(verdict(target, results.measured) for target in TARGETS),
        scaling_verdict(results.scaled),
        *memory_verdicts(results.memory),
    ]


def ratios(target: Target, measured: Measured) -> list[float]:
    """Return the ratio of each round; none if either side was not measured."""
    ours, theirs = (
        measured.get(side.scenario, {}).get(side.contestant, []) for side in (target.ours, target.theirs)
    )
    pairs = zip(ours, theirs, strict=False)
    return [target.quantity(one) / target.quantity(other) for one, other in pairs if target.quantity(other)]


def verdict(target: Target, measured: Measured) -> Verdict:
    """Return what became of one promise: the median of the rounds counts."""
    found = ratios(target, measured)
    limit = f"≤ {target.at_most:g}" if target.at_most is not None else f"≥ {target.at_least:g}"
    if not found:
        return Verdict(words=target.words, limit=limit, measured="-", spread="-", is_met=None)
    middle = median(found)
    is_met = (target.at_most is None or middle <= target.at_most) and (
        target.at_least is None or middle >= target.at_least
    )
    return Verdict(
        words=target.words,
        limit=limit,
        measured=f"{middle:.2f}",
        spread=spread(found),
        is_met=is_met,
    )


def scaling_verdict(scaled: dict[str, list[Taken]]) -> Verdict:
    """Return what became of the promise about a second core."""
    found = [
        two.requests_per_s / one.requests_per_s
        for one, two in zip(scaled.get(ONE, ()), scaled.get(TWO, ()), strict=True)
    ]
    return Verdict(
        words="two workers on two cores, requests per second against one on one",
        limit=f"≥ {MIN_SCALING:g}",
        measured=f"{median(found):.2f}" if found else "-",
        spread=spread(found) if found else "-",
        is_met=median(found) >= MIN_SCALING if found else None,
    )


def memory_verdicts(memory: dict[str, Memory]) -> list[Verdict]:
    """Return what became of the promises about memory."""
    idle = {"keys pinned": who.OURS, "keys fetched over TLS": who.FETCHING}
    found = [
        _amount(
            f"resident memory, idle, {words}",
            MAX_IDLE_MIB,
            "MiB",
            memory[name].idle_bytes / 2**20 if name in memory else None,
        )
        for words, name in idle.items()
    ]
    for count, each in memory[who.OURS].per_connection.items() if who.OURS in memory else ():
        words = f"resident memory per idle connection, {count:,} of them"
        found.append(_amount(words, MAX_CONNECTION_KIB, "KiB", each / 1024))
    return found


def spread(values: Sequence[float]) -> str:
    """Return the lowest and the highest of the rounds."""
    return f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else "-"


def _amount(words: str, limit: float, unit: str, measured: float | None) -> Verdict:
    return Verdict(
        words=words,
        limit=f"≤ {limit:g} {unit}",
        measured="-" if measured is None else f"{measured:.1f} {unit}",
        spread="-",
        is_met=None if measured is None else measured <= limit,
    )
