"""
How many requests may be sent again: a share of all, so that retries cannot become the load.

A bucket that starts full: each request puts its share in, each retry takes one out.
"""

from proxy.model.upstream import Retries


class Budget:
    """The retries of one upstream; `spent` and `refused` count."""

    __slots__ = ("_left", "_most", "_share", "refused", "spent")

    def __init__(self, retries: Retries) -> None:
        self._share = retries.budget_percent / 100
        self._most = float(retries.reserve)
        self._left = self._most
        self.spent = 0
        self.refused = 0

    def earn(self) -> None:
        """Put in what a request brings."""
        if self._left < self._most:
            self._left += self._share

    @property
    def has_some(self) -> bool:
        """Whether a retry can be paid for; one that cannot is counted."""
        if self._left >= 1:
            return True
        self.refused += 1
        return False

    def spend(self) -> None:
        """Pay for a retry."""
        self._left -= 1
        self.spent += 1

    def __repr__(self) -> str:
        return f"<Budget {self._left:.1f} left of {self._most:.0f}>"
