"""
`${env:NAME}` and `${file:PATH}` stand for text that is kept elsewhere.

They may stand in any text value, quoted or not, alone or amid other text; `$${` is a plain `${`.
What a reference brings is text and is not looked at again, so a secret can hold anything. A file
is found relative to the folder of the configuration; one line end at its end is dropped. Messages
show the reference, never what it brought, and a `Revealed` value has no telling `repr`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.settings.problem import printable

MAX_SECRET_BYTES = 64 * 1024

_REFERENCE = re.compile(r"(?P<escape>\$\$\{)|\$\{(?P<body>[^}]*)(?P<end>\}?)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Revealed(str):
    """Text that a reference brought in; it does not print by accident."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<revealed>"


class UnresolvedError(Exception):
    """A reference that brings nothing; the message says why and is safe to print."""


@dataclass(frozen=True, slots=True)
class References:
    """Resolves references against an environment and a folder."""

    environ: Mapping[str, str]
    folder: Path

    def resolve(self, text: str) -> str:
        """Return `text` with every reference replaced; raise `UnresolvedError` where one cannot be."""
        if "${" not in text:
            return text
        resolved = _REFERENCE.sub(self._replaced, text)
        return resolved if _holds_no_reference(text) else Revealed(resolved)

    def _replaced(self, found: re.Match[str]) -> str:
        if found["escape"]:
            return "${"
        kind, colon, name = found["body"].partition(":")
        if not (found["end"] and colon and kind in ("env", "file")):
            raise UnresolvedError(
                f"expected `${{env:NAME}}` or `${{file:PATH}}`, got `{printable(found[0])}`; "
                "for a plain `${` write `$${`"
            )
        return self._variable(name) if kind == "env" else self._file(name)

    def _variable(self, name: str) -> str:
        if not _VARIABLE.fullmatch(name):
            raise UnresolvedError(f"expected the name of an environment variable, got `{printable(name)}`")
        value = self.environ.get(name)
        if value is None:
            raise UnresolvedError(f"environment variable `{name}` is not set")
        return value

    def _file(self, name: str) -> str:
        if not name or "\0" in name:
            raise UnresolvedError(f"expected the path of a file, got `{printable(name)}`")
        path = self.folder / name
        try:
            with path.open("rb") as stream:
                content = stream.read(MAX_SECRET_BYTES + 1)
        except OSError as error:
            raise UnresolvedError(f"file `{path}` cannot be read: {_cause(error)}") from None
        if len(content) > MAX_SECRET_BYTES:
            raise UnresolvedError(f"file `{path}` is larger than {MAX_SECRET_BYTES} bytes")
        try:
            return content.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise UnresolvedError(f"file `{path}` is not UTF-8 text") from None


def _holds_no_reference(text: str) -> bool:
    return all(found["escape"] for found in _REFERENCE.finditer(text))


def _cause(error: OSError) -> str:
    return (error.strerror or "unknown cause").lower()
