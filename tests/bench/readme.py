"""The parts of the README that the benchmark writes itself, each between two marks."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"

BENCH = "bench"
SOAK = "soak"
NOTES = {
    BENCH: "written by `make bench BENCH=--write`; a run takes about half an hour",
    SOAK: 'written by `make bench BENCH="--soak --write"`; a run takes about eight minutes',
}


def with_measurements(text: str, measurements: str, part: str) -> str:
    """Return a document with `measurements` between the marks, or raise ValueError if there are no marks."""
    end = f"<!-- /{part} -->"
    between = re.compile(rf"<!-- {part}\b.*?-->.*?{end}", re.DOTALL)
    if len(between.findall(text)) != 1:
        raise ValueError(f"`<!-- {part}` and `{end}` are expected once")
    # A function, because what is written may hold backslashes.
    return between.sub(lambda _: f"<!-- {part}: {NOTES[part]} -->\n\n{measurements}\n\n{end}", text)


def write(measurements: str, part: str, path: Path = README) -> None:
    """Put `measurements` into the README."""
    path.write_text(with_measurements(path.read_text(encoding="utf-8"), measurements, part), encoding="utf-8")
