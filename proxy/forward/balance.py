"""
Which of several endpoints gets a request.

All three ways take a list that is not empty and return one of it. Consistent hashing is rendezvous
hashing: each endpoint has a weight for each key, and the heaviest wins, so that an endpoint that
goes takes only its own keys along. The weights are the same in every process and after a restart.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final, Protocol

from proxy.model.upstream import Balance

MASK: Final = 2**64 - 1


class Loaded(Protocol):
    """What a choice goes by."""

    address: str

    @property
    def outstanding(self) -> int:
        """Requests sent and not answered, and those that wait."""


class Choice(Protocol):
    """A way to choose."""

    def order(self, candidates: Sequence[Loaded], key: Callable[[], bytes]) -> Sequence[int]:
        """Return the positions of `candidates` in the order in which they are to be preferred."""


class RoundRobin:
    """One after the other."""

    __slots__ = ("_turn",)

    def __init__(self) -> None:
        self._turn = -1

    def order(self, candidates: Sequence[Loaded], key: Callable[[], bytes]) -> Sequence[int]:  # noqa: ARG002 - Choice
        """Return all positions, each time beginning with the next."""
        count = len(candidates)
        self._turn = (self._turn + 1) % count
        return [*range(self._turn, count), *range(self._turn)]


class LeastOutstanding:
    """The one with the least to do; among equals one after the other."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns = RoundRobin()

    def order(self, candidates: Sequence[Loaded], key: Callable[[], bytes]) -> Sequence[int]:
        """Return the positions by what is outstanding there."""
        turns = self._turns.order(candidates, key)
        return sorted(turns, key=lambda position: candidates[position].outstanding)


class Rendezvous:
    """The same endpoint for the same key, as long as it is there."""

    __slots__ = ("_seeds",)

    def __init__(self) -> None:
        self._seeds: dict[str, int] = {}

    def order(self, candidates: Sequence[Loaded], key: Callable[[], bytes]) -> Sequence[int]:
        """Return the positions by their weight for `key`."""
        hashed = _digest(key())
        weights = [_mix(hashed ^ self._seed(candidate.address)) for candidate in candidates]
        return sorted(range(len(weights)), key=weights.__getitem__, reverse=True)

    def _seed(self, address: str) -> int:
        seed = self._seeds.get(address)
        if seed is None:
            seed = self._seeds[address] = _digest(address.encode())
        return seed


def choice_for(balance: Balance) -> Choice:
    """Return what chooses in this way."""
    if balance is Balance.CONSISTENT_HASH:
        return Rendezvous()
    return LeastOutstanding() if balance is Balance.LEAST_OUTSTANDING else RoundRobin()


def _digest(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest())


def _mix(number: int) -> int:
    """Spread 64 bits over 64 bits, each over all (the finaliser of MurmurHash3)."""
    number = ((number ^ (number >> 33)) * 0xFF51AFD7ED558CCD) & MASK
    number = ((number ^ (number >> 33)) * 0xC4CEB9FE1A85EC53) & MASK
    return number ^ (number >> 33)
