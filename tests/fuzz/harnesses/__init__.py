"""
What is fuzzed: one module each, with `check`, which raises if `data` breaks a promise.

Each has a folder of the same name in `tests/fuzz/corpus`: what to begin with, and what once was wrong.
"""

from collections.abc import Callable
from importlib import import_module
from typing import cast

HARNESSES = (
    "forwarded",
    "head",
    "pieces",
    "proxy_header",
    "requests",
    "responses",
    "settings",
    "splitting",
    "target",
    "token",
)


def check_of(name: str) -> Callable[[bytes], None]:
    """Return the check of the harness called `name`; the others are not loaded, nor is what they need."""
    return cast("Callable[[bytes], None]", import_module(f"{__name__}.{name}").check)
