"""Durations, sizes, moments and references in a configuration: a number, or an error that says what to do."""

from proxy.settings.quantities import epoch_seconds, seconds, size_in_bytes
from proxy.settings.resolve import _NotOneValueError, plain_value


def check(data: bytes) -> None:
    """Read `data` as each of them."""
    text = data.decode("utf-8", "replace")
    for parse in (seconds, size_in_bytes, epoch_seconds):
        try:
            value = parse(text)
        except ValueError:
            continue
        assert isinstance(value, float | int)
        assert value == value
        assert text.isascii()
    try:
        value_or_text = plain_value(text)
    except _NotOneValueError:
        return
    assert value_or_text is None or isinstance(value_or_text, str | int | float | bool)
