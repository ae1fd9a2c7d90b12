import asyncio
import json
import logging
import re

import pytest

from proxy.errors import AuditError
from proxy.model.decision import Reason
from proxy.record import recorder as module
from proxy.record.chain import Chain
from proxy.record.recorder import Recorder
from tests.kit.clock import Clock
from tests.record.audit_trail import WHO_AND_WHAT, CountingSink, Waiting, flow, turn


def opened(sink: CountingSink, clock: Clock | None = None) -> Recorder:
    recorder = Recorder(sink, 'node "1"', asyncio.get_running_loop(), clock or Clock())
    recorder.open()
    return recorder


# Group commit


async def test_the_decisions_of_one_turn_are_one_write() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    waiting = [Waiting() for _ in range(500)]
    for number, one in enumerate(waiting):
        assert recorder.decide(flow(f"{number:032}"), WHO_AND_WHAT, one)
    recorder.outcome(flow("f" * 32), 0.25)
    await turn()
    assert len(sink.writes) == 1
    assert [record["request_id"] for record in sink.records] == [f"{number:032}" for number in range(500)] + [
        "f" * 32
    ]
    assert all(one.told == ["recorded"] for one in waiting)


async def test_nobody_is_called_back_before_the_record_is_written() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    waiting = [Waiting(lambda: len(sink.writes)) for _ in range(3)]
    for one in waiting:
        recorder.decide(flow("0" * 32), WHO_AND_WHAT, one)
        assert one.told == []
    await turn()
    assert [one.seen for one in waiting] == [[1], [1], [1]]


async def test_each_turn_has_its_own_write() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    for _ in range(3):
        recorder.decide(flow("0" * 32), WHO_AND_WHAT, Waiting())
        await turn()
    assert len(sink.writes) == 3
    assert len(sink.records) == 3


async def test_a_decision_made_in_a_callback_waits_for_a_write_of_its_own() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    second = Waiting(lambda: len(sink.writes))
    first = Waiting(lambda: recorder.decide(flow("1" * 32), WHO_AND_WHAT, second))
    recorder.decide(flow("0" * 32), WHO_AND_WHAT, first)
    await turn()
    await turn()
    assert first.seen == [True]
    assert second.seen == [2]


async def test_one_callback_that_raises_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def raise_error() -> None:
        raise RuntimeError("broken")

    recorder = opened(CountingSink())
    others = [Waiting(), Waiting()]
    for one in (others[0], Waiting(raise_error), others[1]):
        recorder.decide(flow("0" * 32), WHO_AND_WHAT, one)
    await turn()
    assert [one.told for one in others] == [["recorded"], ["recorded"]]
    assert "a request failed after its decision was recorded" in caplog.text


async def test_an_outcome_is_written_although_nobody_waits_for_it() -> None:
    sink = CountingSink()
    opened(sink).outcome(flow("1" * 32), 0.5)
    await turn()
    assert [(record["kind"], record["duration_ms"]) for record in sink.records] == [("outcome", 500.0)]


# What is in a record


async def test_a_record_says_when_and_where_and_what() -> None:
    sink = CountingSink()
    recorder = opened(sink, Clock(1_790_000_000.25))
    recorder.decide(flow("0" * 32), WHO_AND_WHAT, Waiting())
    await turn()
    [record] = sink.records
    assert list(record) == [
        *("v", "seq", "time", "node", "kind", "request_id", "client", "method", "host", "path", "route"),
        *("issuer", "subject", "kind_of_identity", "claims", "roles"),
        *("decision", "reason", "rule", "policy_version", "prev", "hash"),
    ]
    assert record["time"] == "2026-09-21T14:13:20.250000Z"
    assert record["node"] == 'node "1"'
    assert record["kind"] == "decision"


@pytest.mark.parametrize(
    ("now", "time"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_790_000_000.0, "2026-09-21T14:13:20.000000Z"),
        (1_790_000_000.999_999_8, "2026-09-21T14:13:20.999999Z"),
        (1_709_164_800.000_5, "2024-02-29T00:00:00.000499Z"),
        (4_102_444_799.5, "2099-12-31T23:59:59.500000Z"),
    ],
)
async def test_times_are_rfc_3339_in_utc_with_microseconds(now: float, time: str) -> None:
    sink = CountingSink()
    opened(sink, Clock(now)).outcome(flow("0" * 32), 0)
    await turn()
    assert sink.records[0]["time"] == time
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time)


async def test_a_clock_that_steps_back_is_believed() -> None:
    sink, clock = CountingSink(), Clock(100.5)
    recorder = opened(sink, clock)
    for now in (100.5, 99.25, 100.75):
        clock.now = now
        recorder.outcome(flow("0" * 32), 0)
    await turn()
    seconds = [record["time"][17:] for record in sink.records]
    assert seconds == ["40.500000Z", "39.250000Z", "40.750000Z"]


# Failure


async def test_nobody_acts_on_a_batch_that_was_not_written(caplog: pytest.LogCaptureFixture) -> None:
    sink = CountingSink()
    recorder = opened(sink)
    sink.error = AuditError("cannot write `x`: No space left on device")
    waiting = [Waiting(), Waiting()]
    for one in waiting:
        assert recorder.decide(flow("0" * 32), WHO_AND_WHAT, one)
    await turn()
    assert [one.told for one in waiting] == [["not recorded"], ["not recorded"]]
    assert not recorder.is_available
    assert recorder.failures == 1
    assert "No space left on device; nothing is forwarded until it can be" in caplog.text


async def test_whatever_goes_wrong_in_a_sink_nobody_acts() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    sink.error = RuntimeError("a defect")
    one = Waiting()
    recorder.decide(flow("0" * 32), WHO_AND_WHAT, one)
    await turn()
    assert one.told == ["not recorded"]
    sink.error = None
    recorder.tend()
    assert [record["kind"] for record in sink.records] == ["decision", "gap"]


async def test_while_the_sink_is_away_everybody_is_turned_away_without_a_record() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    sink.error = AuditError("full")
    recorder.decide(flow("0" * 32), WHO_AND_WHAT, Waiting())
    await turn()
    waiting = [Waiting() for _ in range(3)]
    for one in waiting:
        assert not recorder.decide(flow("1" * 32), WHO_AND_WHAT, one)
        assert one.told == []
    await turn()
    assert [one.told for one in waiting] == [["not recorded"]] * 3
    assert recorder.decisions == 1


async def test_what_failed_is_written_first_then_the_gap_then_the_outcomes_of_meanwhile() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    recorder.decide(flow("a" * 32), WHO_AND_WHAT, Waiting())
    await turn()
    sink.error = AuditError("full")
    recorder.decide(flow("b" * 32), WHO_AND_WHAT, Waiting())
    recorder.decide(flow("c" * 32), WHO_AND_WHAT, Waiting())
    await turn()
    for _ in range(7):
        recorder.decide(flow("d" * 32), WHO_AND_WHAT, Waiting())
    recorder.outcome(flow("a" * 32), 1.0)
    recorder.outcome(flow("b" * 32), 1.0)
    await turn()
    states = set()
    for _ in range(5):
        recorder.tend()
        states.add(recorder.is_available)
    assert states == {False}
    sink.error = None
    recorder.tend()
    seen = [(record["kind"], record.get("request_id", "")[:1]) for record in sink.records]
    assert seen == [
        *(("decision", "a"), ("decision", "b"), ("decision", "c")),
        *(("gap", ""), ("outcome", "a"), ("outcome", "b")),
    ]
    gap = sink.records[3]
    assert (gap["reason"], gap["requests_refused"]) == (Reason.AUDIT_UNAVAILABLE, 7)
    recorder.tend()
    assert len(sink.records) == 6


async def test_what_waits_does_not_grow_with_every_attempt() -> None:
    """A disk can stay full for days, and recovery is tried every second."""
    sink = CountingSink()
    recorder = opened(sink)
    sink.error = AuditError("full")
    recorder.decide(flow("b" * 32), WHO_AND_WHAT, Waiting())
    await turn()
    sizes = set()
    for _ in range(1000):
        recorder.decide(flow("d" * 32), WHO_AND_WHAT, Waiting())
        await turn()
        recorder.tend()
        sizes.add(len(recorder._unwritten) + len(recorder._members) + len(recorder._waiting))
    assert len(sizes) == 1
    sink.error = None
    recorder.tend()
    assert [record.get("requests_refused") for record in sink.records] == [None, 1000]


async def test_a_recovery_that_fails_half_way_loses_and_doubles_nothing() -> None:
    class OneWriteSink(CountingSink):
        """Takes one write after each time that `left` is set."""

        left = 0

        def write(self, data: bytes) -> None:
            if not self.left:
                raise AuditError("full")
            self.left -= 1
            super().write(data)

    sink = OneWriteSink()
    recorder = opened(sink)
    recorder.decide(flow("b" * 32), WHO_AND_WHAT, Waiting())
    await turn()
    recorder.decide(flow("c" * 32), WHO_AND_WHAT, Waiting())
    recorder.outcome(flow("d" * 32), 1.0)
    sink.left = 1
    recorder.tend()
    assert not recorder.is_available
    recorder.decide(flow("e" * 32), WHO_AND_WHAT, Waiting())
    sink.left = 2
    recorder.tend()
    seen = [(record["kind"], record.get("requests_refused")) for record in sink.records]
    assert seen == [("decision", None), ("gap", 1), ("outcome", None), ("gap", 1)]


async def test_a_request_that_was_turned_away_does_not_act_because_the_sink_came_back_meanwhile() -> None:
    """It has no record: the sink is back before the request is told, and would not know of it."""
    sink = CountingSink()
    recorder = opened(sink)
    sink.error = AuditError("full")
    recorder.decide(flow("b" * 32), WHO_AND_WHAT, Waiting())
    await turn()
    one = Waiting()
    assert not recorder.decide(flow("c" * 32), WHO_AND_WHAT, one)
    sink.error = None
    recorder.tend()
    assert recorder.is_available
    other = Waiting()
    assert recorder.decide(flow("d" * 32), WHO_AND_WHAT, other)
    await turn()
    assert one.told == ["not recorded"]
    assert other.told == ["recorded"]
    assert [record.get("request_id", "gap")[0] for record in sink.records] == ["b", "g", "d"]


async def test_outcomes_are_kept_while_the_sink_is_away_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_RECORDS", 3)
    sink = CountingSink()
    recorder = opened(sink)
    sink.error = AuditError("full")
    recorder.decide(flow("b" * 32), WHO_AND_WHAT, Waiting())
    await turn()
    for _ in range(5):
        recorder.outcome(flow("c" * 32), 1.0)
        await turn()
    assert (recorder.outcomes, recorder.dropped) == (3, 2)
    sink.error = None
    recorder.tend()
    assert [record["kind"] for record in sink.records] == ["decision", "gap"] + ["outcome"] * 3


# Opening


async def test_a_sink_that_cannot_be_opened_turns_everybody_away_until_it_can() -> None:
    sink = CountingSink()
    sink.open_error = AuditError("cannot open `x`: Permission denied")
    recorder = opened(sink)
    one = Waiting()
    assert not recorder.decide(flow("0" * 32), WHO_AND_WHAT, one)
    await turn()
    assert one.told == ["not recorded"]
    recorder.tend()
    assert recorder.failures == 2
    sink.open_error = None
    recorder.tend()
    assert recorder.is_available
    assert [record["requests_refused"] for record in sink.records] == [1]


async def test_a_first_opening_writes_nothing() -> None:
    sink = CountingSink()
    opened(sink)
    assert sink.writes == []


async def test_the_chain_goes_on_after_a_restart() -> None:
    sink = CountingSink()
    first = opened(sink)
    first.outcome(flow("0" * 32), 1.0)
    first.close()
    sink.last_line = sink.writes[-1].splitlines()[-1]
    second = opened(sink)
    second.outcome(flow("1" * 32), 1.0)
    await turn()
    assert [record["seq"] for record in sink.records] == [1, 2]


@pytest.mark.parametrize("last_line", [b"# a foreign file", b"{}", Chain().seal(['"a":1'])[:-2]])
async def test_a_file_that_is_not_ours_is_left_alone(
    last_line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    sink = CountingSink()
    sink.last_line = last_line
    recorder = opened(sink)
    assert not recorder.is_available
    assert not recorder.decide(flow("0" * 32), WHO_AND_WHAT, Waiting())
    await turn()
    recorder.tend()
    assert sink.writes == []
    assert "the last line is not an audit record" in caplog.text
    sink.last_line = b""
    recorder.tend()
    assert recorder.is_available


async def test_a_rotated_sink_is_followed_and_the_chain_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    sink = CountingSink()
    recorder = opened(sink)
    one = Waiting()
    recorder.decide(flow("0" * 32), WHO_AND_WHAT, one)
    sink.moved = True
    recorder.tend()
    assert one.told == ["recorded"]
    assert (sink.opened, recorder.is_available) == (2, True)
    recorder.outcome(flow("0" * 32), 1.0)
    await turn()
    assert [record["kind"] for record in sink.records] == ["decision", "outcome"]


async def test_a_foreign_file_in_the_place_of_ours_is_left_alone() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    sink.moved, sink.last_line = True, b"# somebody else's"
    recorder.tend()
    assert not recorder.is_available
    recorder.outcome(flow("0" * 32), 1.0)
    await turn()
    assert sink.writes == []


async def test_a_sink_that_moved_and_cannot_be_opened_turns_everybody_away_at_once() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    sink.moved, sink.open_error = True, AuditError("gone")
    recorder.tend()
    assert not recorder.is_available


async def test_tending_a_healthy_sink_does_nothing() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    recorder.tend()
    assert (sink.opened, sink.writes) == (1, [])


# Closing


async def test_closing_writes_what_waits() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    one = Waiting()
    recorder.decide(flow("0" * 32), WHO_AND_WHAT, one)
    recorder.close()
    assert one.told == ["recorded"]
    assert len(sink.records) == 1
    assert sink.closed == 1


async def test_closing_makes_a_last_attempt_to_write_what_failed() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    sink.error = AuditError("full")
    recorder.outcome(flow("0" * 32), 1.0)
    await turn()
    sink.error = None
    recorder.close()
    assert [record["kind"] for record in sink.records] == ["outcome", "gap"]


async def test_after_closing_everybody_is_turned_away() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    recorder.close()
    one = Waiting()
    assert not recorder.decide(flow("0" * 32), WHO_AND_WHAT, one)
    await turn()
    assert one.told == ["not recorded"]
    assert sink.writes == []


async def test_it_is_printed_with_its_state(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    sink = CountingSink()
    recorder = opened(sink)
    assert repr(recorder) == "<Recorder available <Chain seq=0 hash=000000000000…> [0 waiting]>"
    sink.error = AuditError("full")
    recorder.decide(flow("0" * 32), WHO_AND_WHAT, Waiting())
    assert repr(recorder).endswith("[1 waiting]>")
    await turn()
    assert repr(recorder).startswith("<Recorder unavailable <Chain seq=1 ")


async def test_every_record_is_one_line_of_json() -> None:
    sink = CountingSink()
    recorder = opened(sink)
    unread = flow("0" * 32)
    unread.request, unread.claimed_target, unread.claimed_host = None, b'/"\n\xff', "\u2028\ud800"
    recorder.decide(unread, WHO_AND_WHAT, Waiting())
    await turn()
    [line] = sink.writes[0].splitlines()
    assert json.loads(line)["path"] == '/"\n\\xff'
