"""What the tests of the audit trail share: flows to record, sinks that can be told to fail, a checker."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from proxy.errors import AuditError
from proxy.model.audit import ANONYMOUS, decision_members
from proxy.model.decision import Decision, Reason
from proxy.model.flow import Flow
from proxy.model.request import Request
from proxy.record.chain import GENESIS, check_line
from proxy.record.recorder import Recorder
from tests.kit.clock import Clock

WHO_AND_WHAT = (
    f'"route":"a",{ANONYMOUS},{decision_members(Decision(True, Reason.ALLOWED, "a.allow[0]"), "v1")}'
)


def flow(request_id: str) -> Flow:
    made = Flow(request_id, "192.0.2.7", 0.0)
    made.request = Request(
        method="GET",
        host="a.example",
        path="/b",
        authority=b"a.example",
        target=b"/b?token=secret",
        has_encoded_slash=False,
        credential=None,
        client="192.0.2.7",
    )
    return made


class Waiting:
    """Notes what it was told, and when: `seen` says what the sink held at that moment."""

    def __init__(self, look: Callable[[], object] = lambda: None) -> None:
        self.told: list[str] = []
        self.seen: list[object] = []
        self._look = look

    def recorded(self) -> None:
        self.told.append("recorded")
        self.seen.append(self._look())

    def not_recorded(self) -> None:
        self.told.append("not recorded")
        self.seen.append(self._look())


class CountingSink:
    """Keeps what is written in memory, write by write; fails as long as `error` is set."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.error: Exception | None = None
        self.open_error: AuditError | None = None
        self.last_line = b""
        self.opened = 0
        self.closed = 0
        self.moved = False

    def open(self) -> bytes:
        self.opened += 1
        if self.open_error is not None:
            raise self.open_error
        self.moved = False
        return self.last_line

    def write(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.writes.append(data)

    def has_moved(self) -> bool:
        return self.moved

    def close(self) -> None:
        self.closed += 1

    @property
    def records(self) -> list[dict[str, Any]]:  # Any: JSON
        return read_chain(b"".join(self.writes))


def read_chain(data: bytes, prev: str = GENESIS) -> list[dict[str, Any]]:  # Any: JSON
    """Return the records in `data` after checking each line and its link to the one before."""
    assert data == b"" or data.endswith(b"\n")
    records = []
    for line in data.split(b"\n")[:-1]:
        prev = check_line(line, prev)
        records.append(json.loads(line))
    seqs = [record["seq"] for record in records]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True
    return records


async def turn() -> None:
    """Let the event loop turn once, so that what was scheduled has happened."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def opened(sink: CountingSink, clock: Clock | None = None) -> Recorder:
    """Return a recorder on this event loop that has opened its sink."""
    recorder = Recorder(sink, 'node "1"', asyncio.get_running_loop(), clock or Clock())
    recorder.open()
    return recorder
