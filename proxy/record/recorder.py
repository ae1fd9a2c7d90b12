"""
The audit trail's one writer.

Law: nothing is forwarded before its decision record is kept. Records that arrive in one turn of the
event loop are kept by one write (group commit), then everybody who waited goes on. A batch that
could not be written stays in memory, is written first when the sink is back, and nobody acts on it.

One write for all records of a turn is what `small` of `tests/bench/inner.py` shows.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from proxy.errors import AuditError
from proxy.model.audit import json_text, outcome_members, request_members
from proxy.model.decision import Reason
from proxy.model.flow import Flow
from proxy.record.chain import Chain, check_line
from proxy.record.interfaces import Recorded, Sink

log = logging.getLogger("rolegate.audit")

# Requests in flight when the sink fails still have an outcome to record; more than this are not in flight.
MAX_WAITING_RECORDS: Final = 100_000


class Recorder:
    """
    Writes decision and outcome records to one sink.

    `is_available` is False from the first failed write until the sink took everything that waited.
    Records of one batch bear one time, that of the first. Counters are plain ints for the metrics.
    """

    __slots__ = (
        "_chain",
        "_is_resumed",
        "_loop",
        "_members",
        "_node",
        "_refused",
        "_scheduled",
        "_second",
        "_second_text",
        "_sink",
        "_time",
        "_turned_away",
        "_unwritten",
        "_waiting",
        "_wall_clock",
        "decisions",
        "dropped",
        "failures",
        "is_available",
        "outcomes",
    )

    def __init__(
        self,
        sink: Sink,
        node: str,
        loop: asyncio.AbstractEventLoop,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._sink = sink
        self._node = json_text(node)
        self._loop = loop
        self._wall_clock = wall_clock
        self._chain = Chain()
        self._is_resumed = False
        self._members: list[str] = []
        self._waiting: list[Recorded] = []
        self._turned_away: list[Recorded] = []
        self._unwritten = b""
        self._scheduled = False
        self._refused = 0
        self._second = -1
        self._second_text = ""
        self._time = ""
        self.is_available = False
        self.decisions = 0
        self.outcomes = 0
        self.failures = 0
        self.dropped = 0

    def decide(self, flow: Flow, who_and_what: str, waiting: Recorded) -> bool:
        """
        Record the decision on `flow`, then call `waiting.recorded()` or `waiting.not_recorded()`.

        Never calls back before it returns. Returns False if no record can be kept now.
        `who_and_what` holds the members for route, identity and decision, which the caller has ready.
        """
        if self.is_available:
            self.decisions += 1
            self._members.append(
                f'"time":"{self._time or self._now()}","node":{self._node},"kind":"decision",'
                f'"request_id":"{flow.request_id}",{request_members(flow)},{who_and_what}'
            )
            self._waiting.append(waiting)
        else:
            # Apart from the others: the sink may be back before they are told, and would not have this one.
            self._refused += 1
            self._turned_away.append(waiting)
        self._schedule()
        return self.is_available

    def outcome(self, flow: Flow, duration_s: float) -> None:
        """Record how a forwarded request ended."""
        if len(self._members) >= MAX_WAITING_RECORDS:
            self.dropped += 1
            return
        self.outcomes += 1
        self._members.append(
            f'"time":"{self._time or self._now()}","node":{self._node},"kind":"outcome",'
            f'"request_id":"{flow.request_id}",{outcome_members(flow, duration_s)}'
        )
        self._schedule()

    def open(self) -> None:
        """Open the sink for the first time; a failure is logged and tried again by `tend`."""
        self._recover()

    def tend(self) -> None:
        """Bring back a sink that failed, follow one that was rotated; called every second."""
        if self.is_available and not self._sink.has_moved():
            return
        if self.is_available:
            log.warning("the audit file was moved or removed; opening it anew")
            self._commit()
        self._recover()

    def close(self) -> None:
        """Write what waits and let go of the sink; who asks from now on is turned away."""
        self._commit()
        if self._unwritten or self._members:
            self._recover()
        self.is_available = False
        self._sink.close()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        self._scheduled = False
        self._time = ""
        waiting, self._waiting = self._waiting, []
        if self._members and self.is_available:
            self._write(self._chain.seal(self._take_members()))
        is_kept = self.is_available
        for flow in waiting:
            _go_on(flow, is_kept=is_kept)
        if self._turned_away:
            turned_away, self._turned_away = self._turned_away, []
            for flow in turned_away:
                _go_on(flow, is_kept=False)

    def _write(self, data: bytes) -> None:
        try:
            self._sink.write(data)
        except AuditError as error:
            log.error("audit record not written: %s; nothing is forwarded until it can be", error)
        except Exception:
            # The boundary to the sink: whatever went wrong in it, what was not kept is not acted on.
            log.exception("audit record not written; nothing is forwarded until it can be")
        else:
            self._unwritten = b""
            return
        self._unwritten = data
        self.failures += 1
        self.is_available = False

    def _recover(self) -> None:
        self.is_available = False
        try:
            self._follow(self._sink.open())
        except AuditError as error:
            self.failures += 1
            log.error("audit sink: %s", error)
        except ValueError as error:
            self.failures += 1
            self._sink.close()
            log.error("audit sink: the last line is not an audit record (%s); move the file away", error)
        else:
            self._write_what_waited()

    def _follow(self, last_line: bytes) -> None:
        """Go on behind `last_line`, or raise ValueError if nothing of ours may stand behind it."""
        if not self._is_resumed:
            self._chain.resume(last_line)
            self._is_resumed = True
        elif last_line:
            check_line(last_line, None)

    def _write_what_waited(self) -> None:
        """Write the batch that failed, then a record of the gap and the outcomes that came meanwhile."""
        was_failing = bool(self._unwritten or self._refused)
        self.is_available = True
        if self._unwritten:
            self._write(self._unwritten)
        if not self.is_available:
            return
        members = self._take_members()
        refused, self._refused = self._refused, 0
        if was_failing:
            members.insert(0, self._gap(refused))
        if members:
            self._write(self._chain.seal(members))
        if self.is_available and was_failing:
            log.warning("audit sink is back; %d requests were refused without a record", refused)

    def _gap(self, requests_refused: int) -> str:
        """The record that says that requests were refused while nothing could be recorded."""
        return (
            f'"time":"{self._time_text()}","node":{self._node},"kind":"gap","reason":"{Reason.AUDIT_UNAVAILABLE}",'
            f'"requests_refused":{requests_refused}'
        )

    def _take_members(self) -> list[str]:
        members, self._members = self._members, []
        return members

    def _now(self) -> str:
        """Begin a batch: the time, as text, that holds for all of its records."""
        self._time = self._time_text()
        return self._time

    def _time_text(self) -> str:
        now = self._wall_clock()
        second = int(now)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{int((now - second) * 1_000_000):06d}Z"

    def __repr__(self) -> str:
        state = "available" if self.is_available else "unavailable"
        return f"<Recorder {state} {self._chain!r} [{len(self._waiting)} waiting]>"


def _go_on(flow: Recorded, *, is_kept: bool) -> None:
    try:
        if is_kept:
            flow.recorded()
        else:
            flow.not_recorded()
    except Exception:
        # The boundary between requests: one that fails must not keep the others of its batch waiting.
        log.exception("a request failed after its decision was recorded")
