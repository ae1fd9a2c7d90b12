"""The recorder while its sink fails, and when it comes back."""

import pytest

from proxy.errors import AuditError
from proxy.model.decision import Reason
from proxy.record import recorder as module
from proxy.record.chain import Chain
from tests.record.audit_trail import WHO_AND_WHAT, CountingSink, Waiting, flow, opened, turn


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


@pytest.mark.interpreted
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
