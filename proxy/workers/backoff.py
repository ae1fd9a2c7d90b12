"""How long to wait before something that ended is started again."""

FIRST_S = 0.1
LONGEST_S = 30.0

# Who lived this long did not die of what it finds at its start.
LONG_LIFE_S = 60.0


class Backoff:
    """Twice as long after each short life, never longer than `LONGEST_S`; a long life starts anew."""

    __slots__ = ("_deaths",)

    def __init__(self) -> None:
        self._deaths = 0

    def after(self, lived_s: float) -> float:
        """Return how many seconds to wait after a life of `lived_s` seconds."""
        if lived_s >= LONG_LIFE_S:
            self._deaths = 0
        wait_s = min(FIRST_S * 2.0 ** min(self._deaths, 20), LONGEST_S)
        self._deaths += 1
        return wait_s

    def __repr__(self) -> str:
        return f"<Backoff [{self._deaths} short lives]>"
