"""Follows a file that grows by whole lines."""

from pathlib import Path

MAX_READ_BYTES = 256 * 1024


class Tail:
    """The lines of one file, each given once."""

    __slots__ = ("_offset", "_path", "_torn")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._torn = b""

    def read(self) -> list[bytes]:
        """Return the whole lines that came since the last call, of at most 256 KiB; none without a file."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(MAX_READ_BYTES)
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *whole, self._torn = (self._torn + data).split(b"\n")
        return whole

    def __repr__(self) -> str:
        return f"<Tail {self._path} at {self._offset}>"
