"""
Rates, from text to numbers: a whole number, a slash and a time, such as `100/1m`, `5/s` or `1000/1h`.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema

from proxy.settings.expectation import Kind, expected
from proxy.settings.quantities import seconds

_RATE = re.compile(r"([0-9]{1,9})/((?:[0-9]{1,9})?(?:ms|s|m|h|d))", re.ASCII)

# A budget that takes longer than a day to come back is a quota; it would be lost at the next restart.
_LONGEST_S = 86_400.0
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class ParsedRate:
    """`count` in every `window_s` seconds."""

    count: int
    window_s: float


def rate(text: str) -> ParsedRate:
    """Return the rate `text`; raise `ValueError` if it is none."""
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    window = found[2] if found[2][0].isdigit() else f"1{found[2]}"
    return ParsedRate(int(found[1]), seconds(window))


def _rate(value: object) -> ParsedRate:
    try:
        parsed = rate(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None:
        raise expected("a rate such as `100/1m`, `5/s` or `1000/1h`")
    if not (1 <= parsed.count <= _MOST and 0 < parsed.window_s <= _LONGEST_S):
        raise expected(f"a rate of 1 to {_MOST} requests in at most `1d`")
    return parsed


Rate = Annotated[
    ParsedRate,
    PlainValidator(_rate),
    Kind("rate"),
    WithJsonSchema({"type": "string", "pattern": r"^([0-9]{1,9}/([0-9]{1,9})?(ms|s|m|h|d)|.*\$\{.*)$"}),
]
"""How many of something in a time."""
