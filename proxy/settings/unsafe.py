"""
Options whose name begins with `unsafe_`, where they are switched on.

They are found by their name, so that nobody can add one that is not logged.
"""

import logging
from collections.abc import Iterator, Mapping

from proxy.settings.problem import KeyPath, Problem
from proxy.settings.schema import Settings
from proxy.settings.section import Section

log = logging.getLogger("rolegate")

PREFIX = "unsafe_"


def unsafe_options(settings: Settings) -> list[Problem]:
    """Return each that is switched on, with what it does."""
    return [
        Problem(settings.place(*path), settings.key(*path), meaning)
        for path, meaning in _switched_on((), settings)
    ]


def warn_of(options: list[Problem]) -> None:
    """Name them in the log, so that nobody finds out by an incident."""
    for option in options:
        log.warning("%s: `%s` is switched on: %s", option.place, option.key, option.message)


def _switched_on(path: KeyPath, value: object) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, Section):
        for name, field in type(value).model_fields.items():
            found = getattr(value, name)
            if name.startswith(PREFIX) and found:
                yield (*path, name), _consequence(field.description or "")
            yield from _switched_on((*path, name), found)
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _switched_on((*path, name), entry)
    elif isinstance(value, tuple):
        for position, entry in enumerate(value):
            yield from _switched_on((*path, position), entry)


def _consequence(meaning: str) -> str:
    """Return the meaning of a key as part of a sentence."""
    return meaning[:1].lower() + meaning[1:].removesuffix(".")
