import json
import logging
import re

import pytest

from proxy.errors import AuditError
from tests.kit.clock import Clock
from tests.record.audit_trail import WHO_AND_WHAT, CountingSink, Waiting, flow, opened, turn

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


async def test_records_of_one_batch_bear_one_time_and_those_of_the_next_their_own() -> None:
    sink, clock = CountingSink(), Clock(100.5)
    recorder = opened(sink, clock)
    for batch in ((100.5, 101.5), (102.25, 103.5)):
        for now in batch:
            clock.now = now
            recorder.outcome(flow("0" * 32), 0)
        await turn()
    seconds = [record["time"][17:] for record in sink.records]
    assert seconds == ["40.500000Z", "40.500000Z", "42.250000Z", "42.250000Z"]


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
