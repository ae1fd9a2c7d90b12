"""What wrk prints is read, and what is not an answer is not taken for one."""

import pytest

from tests.bench.load import Answers, BenchmarkError, Load, parse_wrk, require_answers

PRINTED = """Running 2s test @ http://127.0.0.1:8080/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.19ms    1.05ms  20.11ms   88.22%
    Req/Sec    14.90k     1.01k   16.13k    75.00%
  Latency Distribution
     50%  980.00us
     75%    2.31ms
     90%    3.20ms
     99%    1.20s
  29650 requests in 2.00s, 9.50MB read
Requests/sec:  14811.10
Transfer/sec:      4.75MB
"""
ERRORS = "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 29650\n"

REFUSALS = PRINTED.replace("Requests/sec", f"{ERRORS}Requests/sec")


def answers(**changes: int) -> Answers:
    counts = {"requests": 10, "not_success": 0, "errors": 0, **changes}
    return Answers(
        requests=counts["requests"],
        requests_per_s=1.0,
        not_success=counts["not_success"],
        errors=counts["errors"],
        p50_ms=1.0,
        p99_ms=1.0,
    )


def test_figures_are_read_in_their_units() -> None:
    found = parse_wrk(PRINTED)
    assert (found.requests, found.requests_per_s) == (29650, 14811.1)
    assert found.p50_ms == pytest.approx(0.98)
    assert found.p99_ms == pytest.approx(1200.0)
    assert (found.not_success, found.errors) == (0, 0)


def test_errors_and_refusals_are_counted() -> None:
    found = parse_wrk(REFUSALS)
    assert (found.not_success, found.errors) == (29650, 10)


def test_output_without_figures_is_an_error() -> None:
    with pytest.raises(BenchmarkError, match="printed nothing that matches"):
        parse_wrk("unable to connect to 127.0.0.1:8080 Connection refused")


@pytest.mark.parametrize(
    ("given", "load"),
    [
        (answers(), Load()),
        (answers(not_success=10), Load(is_refused=True)),
        (answers(not_success=10, errors=3), Load(is_refused=True)),
    ],
)
def test_what_was_asked_for_counts(given: Answers, load: Load) -> None:
    assert require_answers(given, load, 8080) is given


@pytest.mark.parametrize(
    ("given", "load"),
    [
        (answers(not_success=1), Load()),
        (answers(errors=1), Load()),
        (answers(requests=0), Load()),
        (answers(not_success=9), Load(is_refused=True)),
    ],
)
def test_one_other_answer_spoils_the_measurement(given: Answers, load: Load) -> None:
    with pytest.raises(BenchmarkError, match="does not answer"):
        require_answers(given, load, 8080)
