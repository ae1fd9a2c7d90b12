"""The place of one worker among several."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """
    What a worker is given besides its settings.

    It shares the data port with others, and answers on the UNIX socket `admin_path` instead of the admin
    port. `descriptors` are open files that the supervisor shares with all workers, by name.
    """

    number: int
    admin_path: Path
    descriptors: Mapping[str, int] = field(default_factory=dict)
