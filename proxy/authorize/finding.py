"""What is wrong or odd in a configuration, and where."""

from dataclasses import dataclass
from typing import Literal

KeyPath = tuple[str | int, ...]
"""Keys that lead there, roles and routes by name: `("roles", "deployer", "bindings", 0)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem; an error keeps the configuration from loading, a warning does not."""

    severity: Literal["error", "warning"]
    path: KeyPath
    message: str


def error(path: KeyPath, message: str) -> Finding:
    """Return a finding that keeps the configuration from loading."""
    return Finding(severity="error", path=path, message=message)


def warning(path: KeyPath, message: str) -> Finding:
    """Return a finding that an operator should know of."""
    return Finding(severity="warning", path=path, message=message)
