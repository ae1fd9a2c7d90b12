"""
How a type of the schema says what it takes.

Messages state what was expected and leave out what came: `explain` adds it from the file, as
written, so that text brought in by a reference cannot end up in a message.
"""

from dataclasses import dataclass

from pydantic_core import PydanticCustomError

from proxy.settings.problem import KeyPath


@dataclass(frozen=True, slots=True)
class Kind:
    """What a type is called in the reference."""

    name: str


def expected(what: str, *, hint: str = "", at: KeyPath = ()) -> PydanticCustomError:
    """
    Return the error ``expected <what>, got <what came>``.

    `hint` is added at the end; `at` leads to the culprit inside the value.
    """
    hint = f"; {hint}" if hint else ""
    return PydanticCustomError("expected", "expected {what}{hint}", {"what": what, "hint": hint, "at": at})


def refused(why: str, *, at: KeyPath = ()) -> PydanticCustomError:
    """Return the error ``<what came> <why>``; `at` leads to the culprit inside the value."""
    return PydanticCustomError("refused", "{why}", {"why": why, "at": at})


def wrong(message: str, *, at: KeyPath = ()) -> PydanticCustomError:
    """Return an error that is `message` alone; `at` leads to the culprit inside the value."""
    return PydanticCustomError("wrong", "{message}", {"message": message, "at": at})
