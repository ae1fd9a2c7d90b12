"""The part of the README that the benchmark writes itself, between its two marks."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"

START = "<!-- bench: written by `make bench BENCH=--write`; a run takes about a quarter of an hour -->"
END = "<!-- /bench -->"
BETWEEN = re.compile(r"<!-- bench\b.*?-->.*?<!-- /bench -->", re.DOTALL)


def with_measurements(text: str, measurements: str) -> str:
    """Return a document with `measurements` between the marks, or raise ValueError if there are no marks."""
    if len(BETWEEN.findall(text)) != 1:
        raise ValueError(f"`<!-- bench` and `{END}` are expected once")
    # A function, because what is written may hold backslashes.
    return BETWEEN.sub(lambda _: f"{START}\n\n{measurements}\n\n{END}", text)


def write(measurements: str, path: Path = README) -> None:
    """Put `measurements` into the README."""
    path.write_text(with_measurements(path.read_text(encoding="utf-8"), measurements), encoding="utf-8")
