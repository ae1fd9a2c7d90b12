"""The measurements as tables for people."""

from collections.abc import Sequence

from tests.bench.bodies import Passed
from tests.bench.load import Sample

COLUMNS = ("", "requests/s", "CPU µs/request", "upstream CPU µs", "p50 ms", "p99 ms", "resident MiB")


def comparison_table(samples: dict[str, Sample], against: Sequence[str]) -> str:
    """Return the contestants row by row, each with its CPU time relative to those named in `against`."""
    header = [*COLUMNS, *(f"CPU vs. {name}" for name in against)]
    rows = [
        [name, *quantities(sample), *(ratio(sample, samples[other]) for other in against)]
        for name, sample in samples.items()
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


def quantities(sample: Sample) -> list[str]:
    """Return the cells of one sample."""
    return [
        f"{sample.requests_per_s:,.0f}",
        f"{sample.proxy_cpu_us:.1f}" if sample.proxy_cpu_us else "-",
        f"{sample.upstream_cpu_us:.1f}",
        f"{sample.p50_ms:.2f}",
        f"{sample.p99_ms:.2f}",
        f"{sample.resident_bytes / 2**20:.1f}",
    ]


def ratio(sample: Sample, other: Sample) -> str:
    """Return the CPU time of one proxy relative to another's."""
    if not sample.proxy_cpu_us or not other.proxy_cpu_us:
        return "-"
    return f"{sample.proxy_cpu_us / other.proxy_cpu_us:.2f}"


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
