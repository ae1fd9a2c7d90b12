"""
How long chaos lasts: a few seconds with one seed in every run, or several times with new seeds.

`ROLEGATE_CHAOS=N` (say 20, for a nightly run) tries N seeds of each test, new ones each time. The seed is
a part of the test's name; `ROLEGATE_CHAOS_SEED=S` goes back to one. The dice fall again as they fell, but
sockets and the scheduler throw dice of their own: what a seed found once may take a few more runs.
"""

import os
import random

FACTOR = max(1, int(os.environ.get("ROLEGATE_CHAOS", "1")))
_GIVEN = os.environ.get("ROLEGATE_CHAOS_SEED")


def seeds(default: int) -> list[int]:
    """Return the seeds that one test tries."""
    if _GIVEN is not None:
        return [int(_GIVEN)] * FACTOR
    return [default] if FACTOR == 1 else [random.randrange(1, 2**31) for _ in range(FACTOR)]
