"""
Durations, sizes and moments, from text to numbers.

- A duration is a whole number and a unit: `500ms`, `30s`, `10m`, `2h`, `1d`. It becomes seconds.
- A size is a whole number of bytes, or one with a unit: `32KiB`, `1MiB`, `2GiB`.
- A moment is an RFC 3339 timestamp with a zone: `2027-01-31T18:00:00Z`. It becomes epoch seconds.

A number without a unit is not a duration: whoever writes `30` may mean seconds or milliseconds.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from proxy.settings.expectation import Kind, expected

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

_SIZE = re.compile(r"([0-9]{1,15})(KiB|MiB|GiB)?", re.ASCII)
_BYTES = {None: 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)

# A reference may stand wherever text may, and brings what is missing at load.
_OR_REFERENCE = r"|.*\$\{.*"


def seconds(text: str) -> float:
    """Return the duration `text` in seconds; raise `ValueError` if it is none."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return int(found[1]) * _SECONDS[found[2]]


def size_in_bytes(text: str) -> int:
    """Return the size `text` in bytes; raise `ValueError` if it is none."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return int(found[1]) * _BYTES[found[2]]


def epoch_seconds(text: str) -> float:
    """Return the RFC 3339 timestamp `text` in epoch seconds; raise `ValueError` if it is none."""
    if not _MOMENT.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text.upper()).timestamp()


def _duration_between(low: str, high: str) -> Callable[[object], float]:
    def parse(value: object) -> float:
        try:
            duration = seconds(value) if isinstance(value, str) else None
        except ValueError:
            duration = None
        if duration is None:
            raise expected("a duration such as `500ms`, `30s`, `10m`, `2h` or `1d`")
        if not seconds(low) <= duration <= seconds(high):
            raise expected(f"a duration from `{low}` to `{high}`")
        return duration

    return parse


def _size_between(low: str, high: str) -> Callable[[object], int]:
    def parse(value: object) -> int:
        size = value if isinstance(value, int) and not isinstance(value, bool) else None
        try:
            size = size_in_bytes(value) if isinstance(value, str) else size
        except ValueError:
            size = None
        if size is None:
            raise expected("a size such as `4096`, `32KiB`, `1MiB` or `2GiB`")
        if not size_in_bytes(low) <= size <= size_in_bytes(high):
            raise expected(f"a size from `{low}` to `{high}`")
        return size

    return parse


def _moment(value: object) -> float:
    try:
        if isinstance(value, str):
            return epoch_seconds(value)
    except (ValueError, OverflowError):
        pass
    raise expected("a timestamp with a zone such as `2027-01-31T18:00:00Z` or `2027-01-31T19:00:00+01:00`")


_DURATION_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": f"^([0-9]{{1,9}}(ms|s|m|h|d){_OR_REFERENCE})$"}
)
_SIZE_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": f"^([0-9]{{1,15}}(KiB|MiB|GiB)?{_OR_REFERENCE})$"},
        ]
    }
)

Duration = Annotated[
    float, BeforeValidator(_duration_between("1ms", "366d")), Kind("duration"), _DURATION_SCHEMA
]
"""A time that passes, never zero."""

# Deadlines are looked at four times a second; a shorter window would be measured wrongly.
Window = Annotated[float, BeforeValidator(_duration_between("1s", "10m")), Kind("duration"), _DURATION_SCHEMA]
"""A time over which a rate is measured."""

# Five minutes of leeway keep a dead token alive for five minutes.
Leeway = Annotated[float, BeforeValidator(_duration_between("0s", "5m")), Kind("duration"), _DURATION_SCHEMA]
"""A difference between clocks."""

Moment = Annotated[
    float,
    BeforeValidator(_moment),
    Kind("timestamp"),
    WithJsonSchema(
        {"type": "string", "pattern": "^([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt].*" + _OR_REFERENCE + ")$"}
    ),
]
"""A point in time."""

BodySize = Annotated[int, BeforeValidator(_size_between("0", "1048576GiB")), Kind("size"), _SIZE_SCHEMA]
"""The size of a body; zero allows none."""

TransferSize = Annotated[int, BeforeValidator(_size_between("1", "1GiB")), Kind("size"), _SIZE_SCHEMA]
"""The size of what has to pass in a second; never zero, which would mean the same as nothing."""

HeaderSize = Annotated[int, BeforeValidator(_size_between("1KiB", "1MiB")), Kind("size"), _SIZE_SCHEMA]
"""The size of a head of a message."""

TargetSize = Annotated[int, BeforeValidator(_size_between("256", "64KiB")), Kind("size"), _SIZE_SCHEMA]
"""The size of a request target."""

TokenSize = Annotated[int, BeforeValidator(_size_between("1KiB", "64KiB")), Kind("size"), _SIZE_SCHEMA]
"""The size of a token."""
