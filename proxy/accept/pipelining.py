"""
What a client sent ahead of its turn: parsed, held, and replayed in order.

Law: a held request is handed on only when the one before it has ended, so that responses go out in
the order of the requests and never meet.
"""

from collections import deque
from enum import Enum, auto

# One read of 256 KiB holds thousands of small requests; a client that pipelines more is not answered faster.
MAX_PIPELINED = 64


class Event(Enum):
    """A piece of a request, as the parser told it."""

    BEGIN = auto()
    BODY = auto()
    TRAILER = auto()
    END = auto()
    FAIL = auto()
    REFUSE = auto()


STARTS = frozenset({Event.BEGIN, Event.REFUSE})
"""The events that begin another request."""


class HeldEvents(deque[tuple[Event, tuple[object, ...]]]):
    """
    Events that wait, first in first out; `requests` counts the ones that begin a request.

    It is the deque itself, so that asking whether any wait, which each request does four times, is not
    a call.
    """

    __slots__ = ("requests",)

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0

    def hold(self, event: Event, *arguments: object) -> None:
        """Hold an event behind those that wait already."""
        self.requests += event in STARTS
        self.append((event, arguments))

    @property
    def starts_next(self) -> bool:
        """Whether what comes next begins another request."""
        return bool(self) and self[0][0] in STARTS

    def take(self) -> tuple[Event, tuple[object, ...]]:
        """Return what comes next."""
        event, arguments = self.popleft()
        self.requests -= event in STARTS
        return event, arguments

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self.requests = 0

    def __repr__(self) -> str:
        return f"<HeldEvents [{self.requests} requests]>"
