"""Everything that one run of the benchmark found."""

from dataclasses import dataclass, field

from tests.bench.bodies import Passed
from tests.bench.flood import Flooded
from tests.bench.idle import Memory
from tests.bench.scenarios import Measured
from tests.bench.workers import Taken


@dataclass(slots=True)
class Results:
    """What was measured, by what was asked and of whom, and sentences about what was not."""

    measured: Measured = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    passed: dict[str, Passed] = field(default_factory=dict)
    scaled: dict[str, list[Taken]] = field(default_factory=dict)
    flooded: Flooded = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
