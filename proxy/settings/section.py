"""What every section of the schema is, and how its keys get their defaults."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def setting(default: Any, meaning: str, *, min_length: int | None = None) -> Any:  # Any: as `Field` has it
    """Return a field with a default; a default that is text is written and checked as in a file."""
    return Field(
        default, validate_default=isinstance(default, str), description=meaning, min_length=min_length
    )


def section(model: type["Section"], meaning: str) -> Any:  # Any: as `Field` has it
    """Return a field whose keys all have defaults."""
    return Field(default_factory=model, description=meaning)


class Section(BaseModel):
    """Keys that stand together: frozen, no others allowed, and silent about their values."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def __repr__(self) -> str:
        # A value may have come from `${env:…}` or `${file:…}`.
        return f"<{type(self).__name__}>"

    __str__ = __repr__
