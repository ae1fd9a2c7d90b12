"""
How many are here, in all processes together: counts in memory that they share.

Law: each process writes a row of its own, which nobody else writes while it lives, so that no count is lost
and nothing is locked. What is counted has a cell in each row, found by a keyed hash of its name; the sum of
the cells is how many there are. Two names in one cell are counted together, which can only refuse earlier,
and nobody can choose whose cell is shared. Two processes that ask at the same instant may both let one in
where one place was left.
"""

import mmap
import os
from hashlib import blake2b
from typing import Final, Self

HEADER_BYTES: Final = mmap.PAGESIZE
KEY_BYTES: Final = 16
CELL_BYTES: Final = 4
# Of ten thousand clients one in a hundred shares a cell with another. Routes have cells of their own, or
# whoever has many addresses could find one that takes a route's places; any two of a hundred share a cell in
# one case of 13.
CELLS: Final = 2**20
CELLS_OF_ROUTES: Final = 2**16
ROW_BYTES: Final = CELLS * CELL_BYTES


class Presence:
    """The rows of all processes; `fd` is the memory as a descriptor to hand to a child process."""

    __slots__ = ("_cells", "_first", "_key", "_memory", "fd")

    def __init__(self, fd: int, own: int) -> None:
        self._memory = mmap.mmap(fd, 0)
        self._key = self._memory[:KEY_BYTES]
        self._cells = memoryview(self._memory)[HEADER_BYTES:].cast("I")
        self._first = own * CELLS
        self.fd = fd

    @classmethod
    def create(cls, processes: int) -> Self:
        """Return room for so many processes, of which none has counted anything."""
        fd = os.memfd_create("rolegate-presence", os.MFD_CLOEXEC)
        # What is never written takes no memory.
        os.ftruncate(fd, HEADER_BYTES + processes * ROW_BYTES)
        os.pwrite(fd, os.urandom(KEY_BYTES), 0)
        return cls(fd, 0)

    @classmethod
    def attach(cls, fd: int, own: int) -> Self:
        """Return what another process made, with row `own` for this one; IndexError if there is none."""
        rows = (os.fstat(fd).st_size - HEADER_BYTES) // ROW_BYTES
        if not 0 <= own < rows:
            raise IndexError(f"there is no row {own}, only {rows}")
        return cls(fd, own)

    def cell_of_client(self, address: str) -> int:
        """Return where the connections of a client are counted; nobody without the key can foresee it."""
        return self._hash(address) % (CELLS - CELLS_OF_ROUTES)

    def cell_of_route(self, name: str) -> int:
        """Return where the requests of a route are counted, apart from all clients."""
        return CELLS - 1 - self._hash(name) % CELLS_OF_ROUTES

    def _hash(self, name: str) -> int:
        digest = blake2b(name.encode("utf-8", "surrogatepass"), key=self._key, digest_size=8).digest()
        return int.from_bytes(digest, "little")

    def total(self, cell: int) -> int:
        """Return how many are here, in all processes."""
        return sum(self._cells[cell::CELLS])

    def add(self, cell: int, step: int) -> None:
        """Count one more in this process, or one less with a `step` of -1."""
        self._cells[self._first + cell] += step

    def clear(self, row: int) -> None:
        """Forget what a process counted that is gone, and give its memory back."""
        start = HEADER_BYTES + row * ROW_BYTES
        try:
            self._memory.madvise(mmap.MADV_REMOVE, start, ROW_BYTES)
        except OSError:  # a sandbox may refuse it; then the memory stays
            self._memory[start : start + ROW_BYTES] = bytes(ROW_BYTES)

    def close(self) -> None:
        """Let go of the memory, which lives on in other processes that have it."""
        self._cells.release()
        self._memory.close()
        os.close(self.fd)

    def __repr__(self) -> str:
        return f"<Presence [{len(self._cells) // CELLS} processes]>"
