from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from proxy.settings import quantities
from proxy.settings.quantities import epoch_seconds, seconds, size_in_bytes
from tests.settings.files import AnyType

WRONG_DURATIONS: tuple[object, ...] = (30, 30.0, True, None, [], "30", "")
WRONG_SIZES: tuple[object, ...] = (1.0, True, None, [], "1KB", "")
WRONG_MOMENTS: tuple[object, ...] = (1_801_418_400, True, None, [], "2027-01-31", "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("0s", 0.0), ("1ms", 0.001), ("500ms", 0.5), ("30s", 30.0), ("10m", 600.0)],
        *[("2h", 7200.0), ("1d", 86_400.0), ("007s", 7.0), ("999999999s", 999_999_999.0)],
    ],
)
def test_duration_is_a_number_and_a_unit(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "30", "s", "1.5h", "-1s", "+1s", "1 s", " 1s", "1s ", "1S", "1H", "1h30m", "1w", "1y", "1us"),
        *("1e3s", "1_000s", "1s\n", "٣s", "9999999999s", "0x1s"),
    ],
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("4096", 4096), ("32KiB", 32_768), ("1MiB", 1_048_576), ("2GiB", 2_147_483_648)],
)
def test_size_is_bytes_or_a_number_and_a_unit(text: str, value: int) -> None:
    assert size_in_bytes(text) == value


@pytest.mark.parametrize(
    "text", ["", "KiB", "1KB", "1kib", "1K", "1 KiB", "-1", "1.5MiB", "1TiB", "1_000", "٣", "1\n", "9" * 16]
)
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        size_in_bytes(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2027-01-31T18:00:00Z", 1_801_418_400.0),
        ("2027-01-31t18:00:00z", 1_801_418_400.0),
        ("2027-01-31T19:00:00+01:00", 1_801_418_400.0),
        ("2027-01-31T12:30:00-05:30", 1_801_418_400.0),
        ("2027-01-31T18:00:00.25Z", 1_801_418_400.25),
        ("2028-02-29T00:00:00-00:00", 1_835_395_200.0),
    ],
)
def test_moment_has_a_zone(text: str, value: float) -> None:
    assert epoch_seconds(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", "2027-01-31", "2027-01-31T18:00:00", "2027-01-31 18:00:00Z", "2027-01-31T18:00Z"),
        *("2027-02-29T18:00:00Z", "2027-13-01T18:00:00Z", "2027-01-31T24:00:01Z", "2027-01-31T18:00:60Z"),
        *("2027-01-31T18:00:00+0100", "2027-01-31T18:00:00+01", "2027-01-31T18:00:00+24:00", "1801418400"),
        *("2027-W05-7T18:00:00Z", "20270131T180000Z", "2027-01-31T18:00:00Z ", "0000-01-01T00:00:00Z"),
    ],
)
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        epoch_seconds(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_moment_written_out_is_read_back(moment: datetime) -> None:
    assert epoch_seconds(moment.isoformat()) == moment.timestamp()


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        (quantities.Duration, ["1ms", "2ms", "365d", "366d"], ["0ms", "0s", "367d", "8785h"]),
        (quantities.Leeway, ["0s", "1ms", "299s", "5m"], ["301s", "6m", "1d"]),
        (
            quantities.HeaderSize,
            [1024, "1KiB", "2KiB", "1023KiB", "1MiB"],
            [0, 1023, "1023", 1_048_577, "2MiB"],
        ),
        (quantities.TargetSize, [256, "257", "63KiB", "64KiB"], [255, "255", 65_537, "65KiB"]),
        (quantities.TokenSize, [1024, "2KiB", 65_535, "64KiB"], [1023, 65_537, "1GiB"]),
        (quantities.BodySize, [0, "0", 1, "1048575GiB", "1048576GiB"], [-1, "1048577GiB"]),
    ],
)
def test_quantities_are_bounded(kind: AnyType, inside: list[object], outside: list[object]) -> None:
    adapter: TypeAdapter[float] = TypeAdapter(kind)
    for value in inside:
        assert adapter.validate_python(value) >= 0
    for value in outside:
        with pytest.raises(ValidationError, match=r"expected a (duration|size) from `"):
            adapter.validate_python(value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *[(quantities.Duration, value) for value in WRONG_DURATIONS],
        *[(quantities.BodySize, value) for value in WRONG_SIZES],
        *[(quantities.Moment, value) for value in WRONG_MOMENTS],
    ],
)
def test_wrong_types_are_refused_with_an_example(kind: AnyType, value: object) -> None:
    adapter: TypeAdapter[float] = TypeAdapter(kind)
    with pytest.raises(ValidationError, match=r"expected a (duration|size|timestamp with a zone) such as"):
        adapter.validate_python(value)
