import pytest
from pydantic_core import PydanticCustomError

from proxy.settings.expectation import Kind, expected, refused, wrong


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (expected("a name"), "expected a name"),
        (expected("a name", hint="or two"), "expected a name; or two"),
        (refused("is refused: why"), "is refused: why"),
        (wrong("unknown key"), "unknown key"),
    ],
)
def test_errors_say_what_was_expected_and_nothing_of_what_came(
    error: PydanticCustomError, message: str
) -> None:
    assert error.message() == message


def test_errors_lead_to_the_culprit_inside_a_value() -> None:
    for error in (expected("x", at=("a", 0)), refused("x", at=("a", 0)), wrong("x", at=("a", 0))):
        assert error.context is not None
        assert error.context["at"] == ("a", 0)


def test_kind_is_a_name() -> None:
    assert Kind("duration").name == "duration"
