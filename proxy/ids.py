"""Random ids for requests and traces, from blocks of the system's randomness."""

import os
from typing import Final

# 48 hex digits for each request.
BLOCK_BYTES: Final = 24 * 128


class RequestIds:
    """
    Hands out ids in hex.

    One block serves many requests: asking the system each time would cost more than the rest of
    what a request needs.
    """

    __slots__ = ("_at", "_block")

    def __init__(self) -> None:
        self._block = ""
        self._at = 0

    def next(self) -> tuple[str, str]:
        """Return a request id of 32 digits, which is a W3C trace id too, and a span id of 16."""
        at = self._at
        if at >= len(self._block):
            self._block = os.urandom(BLOCK_BYTES).hex()
            at = 0
        self._at = at + 48
        return self._block[at : at + 32], self._block[at + 32 : at + 48]
