"""The measurements as tables, for a terminal and for the README: medians of the rounds, and their range."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from tests.bench import contestants as who
from tests.bench.bodies import Passed
from tests.bench.flood import Flooded
from tests.bench.idle import Memory
from tests.bench.load import Sample
from tests.bench.results import Results
from tests.bench.scenarios import SCENARIOS, Measured
from tests.bench.targets import Quantity, Verdict, cpu_us
from tests.bench.workers import Taken

COLUMNS = (
    who.OURS,
    who.INTERPRETED,
    who.ENVOY,
    who.ENVOY_LOG,
    who.ENVOY_COLD,
    who.HAPROXY,
    who.HAPROXY_LOG,
    who.APACHE,
    who.NGINX,
)
"""Who gets a column in the tables by scenario; the others are rolegate in other sizes."""

TITLES = {
    **{scenario.name: scenario.title for scenario in SCENARIOS},
    "websocket": "WebSocket message, echoed",
}

# These have tables of their own.
APART = ("half", "routes")
# wrk ends when the tokens are used up and does not say when that was.
UNTIMED = ("cold",)


Cell = TypeVar("Cell")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A title, a header and rows of cells; the first cell of a row is words, the others are figures."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(results: Results, found: Sequence[Verdict]) -> list[Table]:
    """Return everything that there is to say, without tables of nothing."""
    measured = results.measured
    everything = [
        by_scenario("CPU µs per request, median (lowest to highest)", measured, cpu_cell),
        ratios_table(measured),
        by_scenario("requests per second", measured, rate_cell, without=UNTIMED),
        delays(measured),
        memory_table(results.memory),
        bodies_table(results.passed),
        sizes(measured),
        scaling_table(results.scaled),
        floods_table(results.flooded),
        targets_table(found),
    ]
    return [table for table in everything if table.rows]


def by_scenario(
    title: str,
    measured: Mapping[str, Mapping[str, Cell]],
    cell: Callable[[Cell], str],
    without: Sequence[str] = (),
) -> Table:
    """Return a table with a row for each scenario and a column for each contestant that is in any."""
    left_out = (*APART, *without)
    rated = {name: samples for name, samples in measured.items() if name not in left_out and samples}
    names = [name for name in COLUMNS if any(name in samples for samples in rated.values())]
    rows = [
        [TITLES[scenario], *(cell(samples[name]) if name in samples else "" for name in names)]
        for scenario, samples in rated.items()
    ]
    return Table(title=title, header=["", *names], rows=rows)


def ratios_table(measured: Measured) -> Table:
    """Return rolegate's processor time as a multiple of each other's, by the median of the rounds."""
    ours = {name: samples[who.OURS] for name, samples in measured.items() if who.OURS in samples}
    others = {
        name: {other: ratio(ours[name], taken) for other, taken in samples.items() if other != who.OURS}
        for name, samples in measured.items()
        if name in ours
    }
    return by_scenario("rolegate's CPU as a multiple of", others, lambda found: f"{found:.2f}")


def ratio(taken: Sequence[Sample], others: Sequence[Sample]) -> float:
    """Return one contestant's processor time as a multiple of another's, each round by itself."""
    return median(cpu_us(one) / cpu_us(other) for one, other in zip(taken, others, strict=True))


def delays(measured: Measured) -> Table:
    """Return the delays at half of the maximum rate."""
    samples = measured.get("half", {})
    rows = [
        [
            name,
            f"{middle(taken, lambda sample: sample.requests_per_s):,.0f}",
            f"{middle(taken, lambda sample: sample.busy):.0%}",
            f"{middle(taken, lambda sample: sample.p50_ms):.2f}",
            f"{middle(taken, lambda sample: sample.p99_ms):.2f}",
            f"{min(each.p99_ms for each in taken):.2f} to {max(each.p99_ms for each in taken):.2f}",
        ]
        for name, taken in samples.items()
    ]
    header = ("", "requests/s", "core busy", "p50 ms", "p99 ms", "p99 of the rounds")
    return Table(title="Delay of a small GET at half of the maximum rate", header=header, rows=rows)


def memory_table(memory: dict[str, Memory]) -> Table:
    """Return the memory of idle processes and connections."""
    counts = sorted({count for each in memory.values() for count in each.per_connection})
    rows = [
        [
            name,
            f"{each.idle_bytes / 2**20:.1f}",
            *(kib_cell(each.per_connection.get(count)) for count in counts),
        ]
        for name, each in memory.items()
    ]
    header = ("resident memory", "idle, MiB", *(f"KiB per connection of {count:,}" for count in counts))
    return Table(title="Memory", header=header, rows=rows)


def kib_cell(each_bytes: float | None) -> str:
    """Return what a connection takes, or nothing where that many could not be opened."""
    return "" if each_bytes is None else f"{each_bytes / 1024:.1f}"


def bodies_table(passed: dict[str, Passed]) -> Table:
    """Return how a large body went through in each direction."""
    rows = [
        [
            f"{each.size / 2**20:,.0f} MiB {direction}",
            f"{each.mebibytes_per_s:,.0f}",
            f"{each.growth_bytes / 2**20:.1f}",
        ]
        for direction, each in passed.items()
    ]
    return Table(
        title="One large body", header=("rolegate", "MiB/s", "resident memory grew by MiB"), rows=rows
    )


def sizes(measured: Measured) -> Table:
    """Return rolegate with few routes and with many."""
    rows = [
        [name, cpu_cell(taken), rate_cell(taken), f"{middle(taken, resident) / 2**20:.0f}"]
        for name, taken in measured.get("routes", {}).items()
    ]
    header = ("rolegate with", "CPU µs per request", "requests/s", "resident MiB")
    return Table(title="Size of the configuration", header=header, rows=rows)


def scaling_table(scaled: dict[str, list[Taken]]) -> Table:
    """Return what workers bring; everything, load and upstream included, is on the cores that are named."""
    rows = [
        [
            name,
            f"{median(each.requests_per_s for each in taken):,.0f}",
            f"{median(each.cpu_us for each in taken):.1f}",
            f"{median(each.p99_ms for each in taken):.2f}",
            f"{median(each.busiest_share for each in taken):.0%}",
        ]
        for name, taken in scaled.items()
    ]
    header = ("load and upstream too", "requests/s", "CPU µs per request", "p99 ms", "busiest worker's share")
    return Table(title="Workers, everything on the same cores", header=header, rows=rows)


def floods_table(flooded: Flooded) -> Table:
    """Return how good requests fare beside bad ones."""
    rows = [
        [
            kind,
            name,
            f"{median(each.bad_per_s for each in taken):,.0f}",
            f"{median(each.good.requests_per_s for each in taken):,.0f}",
            f"{median(each.good.p50_ms for each in taken):.2f}",
            f"{median(each.good.p99_ms for each in taken):.2f}",
        ]
        for kind, by_contestant in flooded.items()
        for name, taken in by_contestant.items()
    ]
    header = ("beside", "proxy", "refused/s", "good/s", "p50 ms", "p99 ms")
    return Table(title="Good requests beside a flood", header=header, rows=rows)


def targets_table(found: Sequence[Verdict]) -> Table:
    """Return the promises and what became of them."""
    words = {True: "met", False: "missed", None: "not measured"}
    rows = [[each.words, each.limit, each.measured, each.spread, words[each.is_met]] for each in found]
    header = ("target", "limit", "measured", "rounds", "")
    return Table(title="Targets", header=header, rows=rows)


def middle(taken: Sequence[Sample], quantity: Quantity) -> float:
    """Return the median of a quantity over the rounds."""
    return median(map(quantity, taken))


def resident(sample: Sample) -> float:
    """The proxy's resident memory under load."""
    return float(sample.resident_bytes)


def cpu_cell(taken: Sequence[Sample]) -> str:
    """Return the processor time per request, with the range where there were several rounds."""
    costs = [cpu_us(sample) for sample in taken]
    digits = 1 if median(costs) < 1000 else 0
    cell = f"{median(costs):,.{digits}f}"
    return cell if len(costs) == 1 else f"{cell} ({min(costs):,.0f} to {max(costs):,.0f})"


def rate_cell(taken: Sequence[Sample]) -> str:
    """Return the requests per second."""
    return f"{middle(taken, lambda sample: sample.requests_per_s):,.0f}"


def as_text(table: Table) -> str:
    """Return a table for a terminal: the first column to the left, the figures to the right."""
    rows = [table.header, *table.rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([f"== {table.title}", *lines])


def as_markdown(table: Table) -> str:
    """Return a table for the README."""
    rule = ["---", *("--:" for _ in table.header[1:])]
    rows = [table.header, rule, *table.rows]
    return "\n".join([f"{table.title}:", "", *(f"| {' | '.join(row)} |" for row in rows)])
