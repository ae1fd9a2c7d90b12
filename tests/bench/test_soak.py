"""What counts as an error in a minute of full load."""

from tests.bench.load import Answers
from tests.bench.soak import Endured, table


def answers(*, requests: int = 100, not_success: int = 0, errors: int = 0) -> Answers:
    return Answers(
        requests=requests, requests_per_s=1.0, not_success=not_success, errors=errors, p50_ms=1.0, p99_ms=2.0
    )


def test_what_was_not_asked_for_is_an_error() -> None:
    assert Endured(answers=answers(), grown_bytes=0).faults == 0
    assert Endured(answers=answers(not_success=3, errors=2), grown_bytes=0).faults == 5
    assert Endured(answers=answers(not_success=100), grown_bytes=0, is_refused=True).faults == 0
    assert Endured(answers=answers(not_success=99, errors=1), grown_bytes=0, is_refused=True).faults == 2


def test_every_load_has_a_row() -> None:
    rows = table({"small": Endured(answers=answers(errors=1), grown_bytes=2**20)}, 60).rows
    assert rows == [["small", "100", "1", "2.0", "1.0"]]
