"""
What every caller has used of its limits: a table of fixed size, in memory that processes can share.

Law: memory does not grow with callers, nobody can choose where an entry lies, and nobody gets a new
budget because an entry was dropped. An entry is two numbers of 8 bytes: a keyed hash of who it is about,
and the time up to which they are paid for. It is found by looking at a few neighbouring slots. Where
all are taken, a newcomer takes the place of the one who used least, and what that one used: when there
are more callers than entries, some share a budget, and coming back after others finds no less used.

Nothing is locked. Each number is written whole. Two processes that serve one caller at the same instant
may both read before either writes, and count one request for two. Two that take the same slot at
the same instant leave one of two new callers there, with at most the time of the other, which `judge`
cuts to what the limit allows.
"""

import mmap
import os
from hashlib import blake2b
from typing import Self

SLOT_BYTES = 16
HEADER_BYTES = 64
KEY_BYTES = 16

# The chance that a caller finds this many slots taken in a table that is half full is 1 in 256, and
# each slot looked at costs 0.3 µs.
NEIGHBOURS = 8

_MAGIC = b"rolegate rates 1"
_NEVER = float("inf")


class Table:
    """
    Holds up to `max_entries` entries; times are seconds of a clock that all processes share.

    `evictions` counts entries that gave way before their end, in this process. `fd` is the memory
    as a descriptor to hand to a child process, None where it is private.
    """

    __slots__ = ("_ends", "_key", "_keys", "_memory", "_slots", "evictions", "fd")

    def __init__(self, memory: mmap.mmap, fd: int | None) -> None:
        if memory[: len(_MAGIC)] != _MAGIC:
            raise ValueError("the memory holds no table of rates")
        self._memory = memory
        self.fd = fd
        self._key = memory[len(_MAGIC) : len(_MAGIC) + KEY_BYTES]
        body = memoryview(memory)[HEADER_BYTES:]
        half = len(body) // 2
        self._slots = half // 8
        self._keys = body[:half].cast("Q")
        self._ends = body[half:].cast("d")
        self.evictions = 0

    @classmethod
    def create(cls, max_entries: int, *, is_shared: bool = False) -> Self:
        """Return a new table, private to this process unless `is_shared`."""
        size = HEADER_BYTES + max(max_entries, NEIGHBOURS) * SLOT_BYTES
        fd = None
        if is_shared:
            fd = os.memfd_create("rolegate-rates", os.MFD_CLOEXEC)
            os.ftruncate(fd, size)
        memory = mmap.mmap(-1 if fd is None else fd, size)
        memory[: len(_MAGIC) + KEY_BYTES] = _MAGIC + os.urandom(KEY_BYTES)
        return cls(memory, fd)

    @classmethod
    def attach(cls, fd: int) -> Self:
        """Return the table that another process made; ValueError if `fd` is something else."""
        return cls(mmap.mmap(fd, os.fstat(fd).st_size), fd)

    def key_of(self, text: str) -> int:
        """Return the hash under which `text` is kept; nobody without the table's key can foresee it."""
        digest = blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=8).digest()
        # 0 stands for an empty slot.
        return int.from_bytes(digest, "little") or 1

    def get(self, key: int, now: float) -> float:
        """Return the time up to which `key` is paid for, 0 if nothing is known and there is room for it."""
        keys, ends, slots = self._keys, self._ends, self._slots
        first, least = key % slots, _NEVER
        for step in range(NEIGHBOURS):
            slot = (first + step) % slots
            end = ends[slot]
            if keys[slot] == key:
                return end
            least = min(least, end)
        return least if least > now else 0.0

    def put(self, key: int, paid_until: float, now: float) -> None:
        """Keep the time up to which `key` is paid for, in place of whoever of its neighbours used least."""
        keys, ends, slots = self._keys, self._ends, self._slots
        first = key % slots
        chosen, least = first, _NEVER
        for step in range(NEIGHBOURS):
            slot = (first + step) % slots
            if keys[slot] == key:
                ends[slot] = paid_until
                return
            if ends[slot] < least:
                chosen, least = slot, ends[slot]
        if least > now:
            self.evictions += 1
        ends[chosen] = paid_until
        keys[chosen] = key

    def entries(self, now: float) -> int:
        """Return how many entries have not ended; reads the whole table."""
        return sum(1 for end in self._ends if end > now)

    def close(self) -> None:
        """Let go of the memory, which lives on in other processes that have it."""
        self._keys.release()
        self._ends.release()
        self._memory.close()
        if self.fd is not None:
            os.close(self.fd)

    def __repr__(self) -> str:
        return f"<Table [{self._slots} slots, {self.evictions} evictions]>"
