"""
The generic cell rate algorithm (ITU-T I.371), for requests.

Each caller has one number: the time up to which its requests so far are paid for. A request moves
it on by one interval and is refused if that would put it further ahead of the present than `burst`
intervals. A refused request pays nothing, so that a caller who keeps asking is not kept out by it.
"""

from dataclasses import dataclass
from typing import NamedTuple

# Adding intervals to a time of many digits loses the last few; nobody is refused because of them.
SLACK = 0.001


@dataclass(frozen=True, slots=True)
class Quota:
    """One request every `interval_s` seconds, and at most `burst` of them ahead of their time."""

    interval_s: float
    burst: int

    @property
    def depth_s(self) -> float:
        """How far ahead of the present a caller can be paid for, in seconds."""
        return self.interval_s * self.burst


class Standing(NamedTuple):
    """
    Where a caller stands after a request.

    `paid_until` is the number to keep if the request is let through. `remaining` requests may follow
    at once. A refused caller may come back in `retry_after_s`; in `full_after_s` it has its whole
    burst again.
    """

    is_within: bool
    paid_until: float
    remaining: int
    retry_after_s: float
    full_after_s: float


def judge(paid_until: float, now: float, quota: Quota) -> Standing:
    """Return how a request at `now` stands for a caller who is paid up to `paid_until`, 0 if unknown."""
    interval_s, depth_s = quota.interval_s, quota.depth_s
    # Never further ahead than the quota allows: it may have been tightened since, and the number is
    # kept where another process writes.
    ahead_s = min(max(paid_until - now, 0.0), depth_s)
    after_s = ahead_s + interval_s
    if after_s > depth_s + interval_s * SLACK:
        return Standing(
            is_within=False,
            paid_until=now + ahead_s,
            remaining=0,
            retry_after_s=after_s - depth_s,
            full_after_s=ahead_s,
        )
    remaining = int((depth_s - after_s) / interval_s + SLACK)
    return Standing(
        is_within=True,
        paid_until=now + after_s,
        remaining=max(remaining, 0),
        retry_after_s=0.0,
        full_after_s=after_s,
    )
