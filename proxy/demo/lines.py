"""
Audit records as people read them: one line for each request.

A refused request is one record. A forwarded one is two, the decision and the outcome, which are
joined by their request id; its line appears with the outcome, because only that knows the status.
"""

import re
from collections.abc import Iterable
from datetime import datetime

import msgspec

from proxy.demo.terminal import Palette
from proxy.model.decision import Reason
from proxy.settings.problem import printable
from proxy.wire.refusal import REFUSALS

# Requests whose outcome is still to come; past this the oldest is forgotten.
MAX_PENDING = 1000

# A terminal shows this much between two looks at the file; whoever sends more reads the file itself.
MAX_LINES = 40

# Of all columns but the last; a whole line of the demonstration fits into 120.
_WIDTHS = (8, 3, 34, 24, 8)

_PORT = re.compile(r":[0-9]+$")


class Record(msgspec.Struct):
    """The members of a record that a line shows."""

    time: str
    kind: str
    request_id: str = ""
    method: str = ""
    host: str = ""
    path: str = ""
    issuer: str | None = None
    subject: str | None = None
    claims: dict[str, object] = {}
    roles: list[str] = []
    decision: str = ""
    reason: str = ""
    rule: str | None = None
    status: int = 0


class AuditLines:
    """Turns records into lines, in the order in which requests end."""

    __slots__ = ("_decode", "_palette", "_pending")

    def __init__(self, palette: Palette) -> None:
        self._palette = palette
        self._pending: dict[str, Record] = {}
        self._decode = msgspec.json.Decoder(Record).decode

    def render(self, records: Iterable[bytes]) -> list[str]:
        """Return the lines that these records complete, at most 40 and how many more there were."""
        lines = [line for record in records if (line := self._line(self._decode(record))) is not None]
        if len(lines) > MAX_LINES:
            left_out = len(lines) - MAX_LINES
            lines[MAX_LINES:] = [self._palette.paint(f"... and {left_out} more requests", "dim")]
        return lines

    def heading(self) -> str:
        """Return the names of the columns."""
        names = ("time", "", "request", "who", "role", "reason")
        return self._palette.paint(_columns(names), "dim")

    def _line(self, record: Record) -> str | None:
        if record.kind == "outcome":
            decision = self._pending.pop(record.request_id, None)
            return None if decision is None else self._show(decision, record.status, record.reason)
        if record.kind != "decision":
            return None
        if record.decision != "allow":
            return self._show(record, status_of(record.reason), record.reason)
        while len(self._pending) >= MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        self._pending[record.request_id] = record
        return None

    def _show(self, record: Record, status: int, reason: str) -> str:
        # `completed` says nothing that the status does not; the decision's own reason does.
        reason = record.reason if reason == Reason.COMPLETED else reason
        cells = (
            datetime.fromisoformat(record.time).astimezone().strftime("%H:%M:%S"),
            str(status or "---"),
            printable(f"{record.method} {_PORT.sub('', record.host)}{record.path}", _WIDTHS[2]),
            printable(who(record), _WIDTHS[3]),
            printable(", ".join(record.roles) or "-", _WIDTHS[4]),
            reason if record.rule is None else f"{reason} by {record.rule}",
        )
        return _columns(cells, self._palette, _colour_of(status))

    def __repr__(self) -> str:
        return f"<AuditLines [{len(self._pending)} pending]>"


def who(record: Record) -> str:
    """Return the identity in a few words: the project of a job, the subject of anybody else."""
    if record.subject is None:
        return "-"
    return f"{record.issuer}:{record.claims.get('project_path', record.subject)}"


def status_of(reason: str) -> int:
    """Return the status with which a request is refused for this reason, 0 if it is not answered."""
    refusal = REFUSALS.get(Reason(reason))
    return 0 if refusal is None else refusal.status


def _colour_of(status: int) -> str:
    if 100 <= status < 400:
        return "green"
    return "yellow" if status < 500 else "red"


def _columns(cells: tuple[str, ...], palette: Palette | None = None, colour: str = "") -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=False)]
    padded += cells[len(_WIDTHS) :]
    if palette is not None:
        padded[0] = palette.paint(padded[0], "dim")
        padded[1] = palette.paint(padded[1], "bold", colour)
        padded[5] = palette.paint(padded[5], colour)
    return "  ".join(padded).rstrip()
