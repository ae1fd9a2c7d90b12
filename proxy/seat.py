"""The place of one worker among several."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

RATES = "rates"
"""The descriptor of the table in which all workers count what rate limits allow."""

PRESENCE = "presence"
"""The descriptor of the counts of what is there in all workers together."""

_LISTEN = "listen."


def listening_at(position: int, number: int) -> str:
    """Return the name of a descriptor: the socket of this number at the door of this position."""
    return f"{_LISTEN}{position}.{number}"


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

    @property
    def listening(self) -> dict[int, list[int]]:
        """The descriptors of sockets on which all workers listen, by the position of their door."""
        found: dict[int, list[int]] = {}
        for name, descriptor in self.descriptors.items():
            if name.startswith(_LISTEN):
                found.setdefault(int(name.split(".")[1]), []).append(descriptor)
        return found
