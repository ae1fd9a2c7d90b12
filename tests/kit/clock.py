"""A clock that stands still until the test moves it."""


class Clock:
    """Call it for the time in epoch seconds."""

    __slots__ = ("now",)

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self.now += seconds

    def __repr__(self) -> str:
        return f"<Clock {self.now}>"
