"""
What is wrong with a configuration, and where.

A problem names its place as `file:line:column`, both counted from one, then the key, then what was
expected and what came. All problems of a load are raised together, as one `SettingsError`.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.errors import ConfigurationError

KeyPath = tuple[str | int, ...]
"""The way from the top of the configuration to a value: names of keys and positions in lists."""

# What needs no quotes inside a dotted key. Names of claims may hold dots and slashes.
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")

# Below this a suggestion is more puzzling than helpful; `difflib` recommends the same.
_NEAR = 0.6
# Comparing costs time for each known name and each pair of characters.
_LONGEST_COMPARED = 100
_MOST_COMPARED = 1000


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file; line and column count from one."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, at which key, and why; `place` and `key` may be empty."""

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.key, self.message) if part)


class SettingsError(ConfigurationError):
    """A configuration that does not load; the message has one line for each of `problems`."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Collector:
    """Gathers problems, then raises them all in the order of their places."""

    def __init__(self) -> None:
        self._found: dict[tuple[Place, str], Problem] = {}

    def add(self, place: Place, key: str, message: str) -> None:
        """Note a problem; of several at the same place and key the first one stands."""
        self._found.setdefault((place, key), Problem(str(place), key, message))

    def raise_if_any(self) -> None:
        """Raise `SettingsError` with everything noted so far, if anything was."""
        if self._found:
            raise SettingsError(self._found[where] for where in sorted(self._found))


def dotted(path: KeyPath) -> str:
    """Return `path` as people write it: `roles.deployer.bindings[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}"
        else:
            text += f'["{printable(part)}"]'
    return text.removeprefix(".")


def printable(text: str, limit: int = 60) -> str:
    """Return `text` on one line, cut at `limit` characters, control characters escaped."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean `X`?`` with the nearest of `known`, or nothing if none is near."""
    known = tuple(known)
    if len(name) > _LONGEST_COMPARED or len(known) > _MOST_COMPARED:
        return ""
    by_folded = {candidate.casefold(): candidate for candidate in sorted(known)}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=_NEAR)
    return f"; did you mean `{printable(by_folded[near[0]])}`?" if near else ""


def listed(names: Iterable[str]) -> str:
    """Return `names` in backticks, separated by commas."""
    return ", ".join(f"`{printable(name)}`" for name in names)
