import pytest

from proxy.authorize.moment import rfc3339


@pytest.mark.parametrize(
    ("epoch_s", "text"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (1_790_000_000.0, "2026-09-21T14:13:20Z"),
        (1_790_000_000.999, "2026-09-21T14:13:20Z"),
        (1e300, f"second {1e300:.0f}"),
    ],
)
def test_moment_is_written_in_utc(epoch_s: float, text: str) -> None:
    assert rfc3339(epoch_s) == text
