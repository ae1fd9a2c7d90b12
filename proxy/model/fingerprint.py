"""A short name for a policy: equal for equal policies, in whatever order the file states them."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

DIGITS = 12


def fingerprint(*values: object) -> str:
    """Return a name for dataclasses, mappings, sets, sequences and scalars, by content."""
    return hashlib.sha256(_spelled(values).encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def _spelled(value: object) -> str:
    if is_dataclass(value):
        members = (f"{field.name}={_spelled(getattr(value, field.name))}" for field in fields(value))
        return f"{type(value).__name__}({','.join(members)})"
    if isinstance(value, Mapping):
        pairs = (f"{_spelled(key)}:{_spelled(held)}" for key, held in value.items())
        return "{" + ",".join(sorted(pairs)) + "}"
    if isinstance(value, frozenset | set):
        return "{" + ",".join(sorted(_spelled(held) for held in value)) + "}"
    if isinstance(value, tuple | list):
        return "[" + ",".join(_spelled(held) for held in value) + "]"
    return repr(value)
