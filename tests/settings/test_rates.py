from pathlib import Path

import pytest

from proxy.settings.rates import ParsedRate, rate
from tests.settings.files import changed, load_text, problems_of


@pytest.mark.parametrize(
    ("text", "count", "window_s"),
    [
        ("100/1m", 100, 60.0),
        ("5/s", 5, 1.0),
        ("1000/1h", 1000, 3600.0),
        ("1/1d", 1, 86_400.0),
        ("1/250ms", 1, 0.25),
    ],
)
def test_a_rate_is_a_number_and_a_time(text: str, count: int, window_s: float) -> None:
    assert rate(text) == ParsedRate(count, window_s)


@pytest.mark.parametrize(
    "text", ["", "5", "5/", "/s", "-1/s", "5/ s", "5 /s", "1.5/s", "5/w", "5/s/s", "٥/s"]
)
def test_anything_else_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        rate(text)


def with_limit(limit: str) -> str:
    return changed("routes:\n", f"rate_limits:\n  few: {{{limit}}}\nroutes:\n")


@pytest.mark.parametrize("text", ["1/1d", "1000000/1s", "24/24h"])
def test_the_largest_and_the_slowest_are_taken(tmp_path: Path, text: str) -> None:
    assert load_text(tmp_path, with_limit(f"per: client, rate: {text}")).rate_limits["few"].rate == rate(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0/s", "expected a rate of 1 to 1000000 requests in at most `1d`"),
        ("1000001/s", "expected a rate of 1 to 1000000 requests in at most `1d`"),
        ("1/0s", "expected a rate of 1 to 1000000 requests in at most `1d`"),
        ("1/25h", "expected a rate of 1 to 1000000 requests in at most `1d`"),
        ("fast", "expected a rate such as `100/1m`, `5/s` or `1000/1h`"),
        ("5", "expected a rate such as `100/1m`, `5/s` or `1000/1h`"),
    ],
)
def test_a_rate_that_is_none_is_reported(tmp_path: Path, text: str, expected: str) -> None:
    (found,) = problems_of(tmp_path, with_limit(f"per: client, rate: {text}"))
    assert f"rate_limits.few.rate: {expected}" in found
