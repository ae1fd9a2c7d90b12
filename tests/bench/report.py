"""The measurements as tables for people: medians of the rounds, and how far the rounds lie apart."""

from collections.abc import Callable, Sequence
from statistics import median

from tests.bench.bodies import Passed
from tests.bench.comparison import Samples
from tests.bench.load import Sample

COLUMNS = (
    "",
    "requests/s",
    "CPU µs/request",
    "lowest-highest",
    "upstream CPU µs",
    "p50 ms",
    "p99 ms",
    "resident MiB",
)


def comparison_table(samples: Samples, against: Sequence[str]) -> str:
    """Return the contestants row by row, each with its CPU time relative to those named in `against`."""
    header = [*COLUMNS, *(f"CPU vs. {name}" for name in against)]
    rows = [
        [name, *quantities(taken), *(ratio(taken, samples[other]) for other in against)]
        for name, taken in samples.items()
    ]
    return table([header, *rows])


def bodies_table(passed: dict[str, Passed], size: int) -> str:
    """Return how a large body went through in each direction."""
    header = [f"{size / 2**20:,.0f} MiB", "MiB/s", "resident memory grew by MiB"]
    rows = [
        [direction, f"{each.mebibytes_per_s:,.0f}", f"{each.growth_bytes / 2**20:.1f}"]
        for direction, each in passed.items()
    ]
    return table([header, *rows])


def quantities(taken: Sequence[Sample]) -> list[str]:
    """Return the cells of one contestant's samples."""

    def middle(quantity: Callable[[Sample], float]) -> float:
        return median(map(quantity, taken))

    costs = [sample.proxy_cpu_us for sample in taken]
    return [
        f"{middle(lambda sample: sample.requests_per_s):,.0f}",
        f"{median(costs):.1f}" if any(costs) else "-",
        f"{min(costs):.0f}-{max(costs):.0f}" if any(costs) else "-",
        f"{middle(lambda sample: sample.upstream_cpu_us):.1f}",
        f"{middle(lambda sample: sample.p50_ms):.2f}",
        f"{middle(lambda sample: sample.p99_ms):.2f}",
        f"{middle(lambda sample: sample.resident_bytes) / 2**20:.1f}",
    ]


def ratio(taken: Sequence[Sample], others: Sequence[Sample]) -> str:
    """Return one proxy's CPU time relative to another's: the median of the ratios within each round."""
    pairs = [(one.proxy_cpu_us, other.proxy_cpu_us) for one, other in zip(taken, others, strict=True)]
    if not all(one and other for one, other in pairs):
        return "-"
    return f"{median(one / other for one, other in pairs):.2f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned text; the first column to the left, numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
