"""What the limits say of a request that policy allows."""

from typing import NamedTuple

from proxy.model.decision import Decision


class Verdict(NamedTuple):
    """The decision that refuses, None if no limit does; and header lines that say how things stand."""

    refusal: Decision | None
    lines: bytes
