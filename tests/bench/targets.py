"""What rolegate is meant to cost, and whether it does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench import contestants as who
from tests.bench.flood import EACH_ANOTHER, ONE_FORGED, Beside, Flooded
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
MAX_BESIDE_A_FLOOD = 0.5
MAX_IDLE_MIB = 60
MAX_CONNECTION_KIB = 12


def verdicts(results: Results) -> list[Verdict]:
    """Return what became of every promise."""
    return [
        *(verdict(target, results.measured) for target in TARGETS),
        *flood_verdicts(results.flooded),
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
    return _ratio(target.words, ratios(target, measured), at_most=target.at_most, at_least=target.at_least)


def flood_verdicts(flooded: Flooded) -> list[Verdict]:
    """Return what became of the promise that a flood of bad tokens does not slow good ones much."""
    return [
        _ratio(
            f"p99 of good tokens beside a flood of bad ones ({kind}) against Envoy's",
            _p99_ratios(flooded.get(kind, {})),
            at_most=MAX_BESIDE_A_FLOOD,
        )
        for kind in (ONE_FORGED, EACH_ANOTHER)
    ]


def _p99_ratios(taken: dict[str, list[Beside]]) -> list[float]:
    pairs = zip(taken.get(who.OURS, ()), taken.get(who.ENVOY, ()), strict=False)
    return [ours.good.p99_ms / theirs.good.p99_ms for ours, theirs in pairs]


def _ratio(
    words: str, found: list[float], *, at_most: float | None = None, at_least: float | None = None
) -> Verdict:
    limit = f"≤ {at_most:g}" if at_most is not None else f"≥ {at_least:g}"
    if not found:
        return Verdict(words=words, limit=limit, measured="-", spread="-", is_met=None)
    middle = median(found)
    return Verdict(
        words=words,
        limit=limit,
        measured=f"{middle:.2f}",
        spread=spread(found),
        is_met=(at_most is None or middle <= at_most) and (at_least is None or middle >= at_least),
    )


def scaling_verdict(scaled: dict[str, list[Taken]]) -> Verdict:
    """Return what became of the promise about a second core."""
    found = [
        two.requests_per_s / one.requests_per_s
        for one, two in zip(scaled.get(ONE, ()), scaled.get(TWO, ()), strict=True)
    ]
    return _ratio(
        "two workers on two cores, requests per second against one on one", found, at_least=MIN_SCALING
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
