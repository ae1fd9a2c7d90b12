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


class HeldEvents:
    """Events that wait, first in first out; `requests` counts the ones that begin a request."""

    __slots__ = ("_events", "requests")

    def __init__(self) -> None:
        self._events: deque[tuple[Event, tuple[object, ...]]] = deque()
        self.requests = 0

    def add(self, event: Event, *arguments: object) -> None:
        """Hold an event behind those that wait already."""
        self.requests += event in STARTS
        self._events.append((event, arguments))

    @property
    def starts_next(self) -> bool:
        """Whether what comes next begins another request."""
        return bool(self._events) and self._events[0][0] in STARTS

    def pop(self) -> tuple[Event, tuple[object, ...]]:
        """Return what comes next."""
        event, arguments = self._events.popleft()
        self.requests -= event in STARTS
        return event, arguments

    def clear(self) -> None:
        """Forget everything."""
        self._events.clear()
        self.requests = 0

    def __bool__(self) -> bool:
        return bool(self._events)

    def __repr__(self) -> str:
        return f"<HeldEvents [{self.requests} requests]>"
