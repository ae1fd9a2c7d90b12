import pytest

from proxy.wire.traceparent import continue_trace

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
OWN_TRACE = "a" * 32
OWN_SPAN = "b" * 16
NEW = f"00-{OWN_TRACE}-{OWN_SPAN}-02".encode()


def seen(*values: str) -> tuple[bytes, bool]:
    return continue_trace([value.encode("latin-1") for value in values], OWN_TRACE, OWN_SPAN)


def test_without_a_header_a_new_trace_begins() -> None:
    assert seen() == (NEW, False)


@pytest.mark.parametrize(
    ("inbound", "outbound"),
    [
        ("00", "00"),
        ("01", "01"),
        ("02", "02"),
        ("03", "03"),
        ("ff", "03"),
        ("09", "01"),
        ("f0", "00"),
        ("0c", "00"),
        ("1e", "02"),
    ],
)
def test_a_trace_is_continued_with_the_flags_that_are_defined(inbound: str, outbound: str) -> None:
    expected = f"00-{TRACE}-{OWN_SPAN}-{outbound}".encode()
    assert seen(f"00-{TRACE}-{PARENT}-{inbound}") == (expected, True)


@pytest.mark.parametrize(
    "value", [f"01-{TRACE}-{PARENT}-01", f"cc-{TRACE}-{PARENT}-01-what-comes", f"fe-{TRACE}-{PARENT}-01-"]
)
def test_a_higher_version_is_read_as_far_as_it_is_known(value: str) -> None:
    assert seen(value) == (f"00-{TRACE}-{OWN_SPAN}-01".encode(), True)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-01-",
        f"00-{TRACE}-{PARENT}-01-x",
        f"00-{TRACE}-{PARENT}-011",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00-{TRACE}-{PARENT}-0g",
        f"01-{TRACE}-{PARENT}-011",
        f"01-{TRACE}-{PARENT}-01.x",
        f"ff-{TRACE}-{PARENT}-01",
        f"FE-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT.upper()}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}0-{PARENT}-01",
        f"00_{TRACE}_{PARENT}_01",
        f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01",
        f"x00-{TRACE}-{PARENT}-01",
    ],
)
def test_a_header_that_is_not_whole_is_ignored_with_its_tracestate(value: str) -> None:
    assert seen(value) == (NEW, False)


def test_two_headers_are_ignored_even_if_they_agree() -> None:
    value = f"00-{TRACE}-{PARENT}-01"
    assert seen(value, value) == (NEW, False)


def test_white_space_around_the_value_is_not_part_of_it() -> None:
    assert seen(f" 00-{TRACE}-{PARENT}-01\t")[1]
