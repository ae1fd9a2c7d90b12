"""
How much is tried: the same few hundred examples in every run, or many times as many and new ones each time.

`ROLEGATE_FUZZ=N` (say 100, for a nightly run) makes it N times as many, and random ones. What it finds
belongs into the corpus, or into a table of a test, where every run tries it again.
"""

import os
import random
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, settings

FACTOR = max(1, int(os.environ.get("ROLEGATE_FUZZ", "1")))
IS_LONG = FACTOR > 1

# Wall clock; the harnesses run side by side, on as many cores as there are.
FUZZ_S = 8 * FACTOR
SEED = random.randrange(1, 2**31) if IS_LONG else 1

TestT = TypeVar("TestT", bound=Callable[..., object])


def examples(count: int) -> Callable[[TestT], TestT]:
    """Return the decorator that tries `count` examples, or as many times more as were asked for."""
    chosen = settings(
        max_examples=count * FACTOR,
        deadline=None,
        derandomize=not IS_LONG,
        database=None,
        # A loaded machine is no fault of the strategy, and messages of a few hundred bytes are wanted.
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )

    def decorate(test: TestT) -> TestT:
        chosen(test)
        return test

    return decorate
