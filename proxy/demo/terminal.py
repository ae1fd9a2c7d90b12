"""Colour where a terminal wants it."""

import os
from collections.abc import Mapping
from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Palette:
    """Paints words, or leaves them as they are."""

    __slots__ = ("is_on",)

    def __init__(self, *, is_on: bool) -> None:
        self.is_on = is_on

    def paint(self, text: str, *styles: str) -> str:
        """Return `text` in the given styles: `bold`, `dim` or the name of a colour."""
        if not self.is_on or not styles:
            return text
        codes = ";".join(_CODES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def __repr__(self) -> str:
        return f"<Palette {'on' if self.is_on else 'off'}>"


def palette_for(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Palette:
    """Return colours for a terminal that can show them, unless `NO_COLOR` (no-color.org) says not to."""
    wants = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return Palette(is_on=wants and stream.isatty())
