"""What the recorder needs of others."""

from typing import Protocol


class Sink(Protocol):
    """A place where audit records are kept."""

    def open(self) -> bytes:
        """Open or reopen the sink and return its last whole line, empty if none; or raise AuditError."""

    def write(self, data: bytes) -> None:
        """
        Keep `data`, whole lines, or raise AuditError.

        After an error the caller comes again with data that begins with the same bytes.
        """

    def has_moved(self) -> bool:
        """Whether what was opened is no longer what the sink's name leads to, as after a rotation."""

    def close(self) -> None:
        """Let go of the sink."""


class Recorded(Protocol):
    """What waits for its decision record to be kept before it acts."""

    def recorded(self) -> None:
        """Go on: the record is kept."""

    def not_recorded(self) -> None:
        """Do not act: the record could not be kept."""
