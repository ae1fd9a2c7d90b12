"""What holds for every section."""

import pytest
from pydantic import ValidationError

from proxy.settings.quantities import Duration
from proxy.settings.section import Section, section, setting


class Inner(Section):
    """A section with a default that is written as in a file."""

    wait: Duration = setting("2s", "How long.")


class Outer(Section):
    """A section with a section."""

    inner: Inner = section(Inner, "What is inside.")


def test_defaults_are_read_like_what_is_written() -> None:
    assert Outer().inner.wait == 2.0
    assert Outer.model_fields["inner"].description == "What is inside."


def test_a_section_is_frozen_silent_and_takes_no_other_keys() -> None:
    assert repr(Outer()) == str(Outer()) == "<Outer>"
    with pytest.raises(ValidationError):
        Outer.model_validate({"secret": "hunter2"})
    with pytest.raises(ValidationError):
        setattr(Outer(), "inner", Inner())  # noqa: B010 - mypy knows that it cannot be assigned
