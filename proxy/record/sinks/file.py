"""
Audit records in a JSON Lines file, opened append-only.

A record is kept once the kernel has it: it survives the end of this process at any moment, `kill -9`
included. A write is all or nothing: what part of it reached the file before the disk was full is cut
off again, so that a line in the file is always a whole record.
"""

import logging
import os
from pathlib import Path

from proxy.errors import AuditError

log = logging.getLogger("rolegate.audit")

# A record is about 1 KB; a longer last line than this was not written by us.
MAX_TAIL_BYTES = 256 * 1024


class FileSink:
    """Appends to the file at `path`, readable by its owner alone, and notices when it is gone."""

    __slots__ = ("_fd", "_size", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._size = 0

    def open(self) -> bytes:
        """Open the file, creating it where it is missing, and return its last whole line."""
        self.close()
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._size = os.fstat(self._fd).st_size
            return self._last_line()
        except OSError as error:
            self.close()
            raise AuditError(f"cannot open `{self.path}`: {error.strerror}") from error

    def write(self, data: bytes) -> None:
        """Append `data`, or raise AuditError with nothing of it left in the file."""
        try:
            if os.fstat(self._fd).st_nlink == 0:
                # Writing would succeed, into a file that nobody can ever read.
                raise AuditError(f"`{self.path}` was removed")
            written = os.write(self._fd, data)
            if written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            self._cut_back()
            raise AuditError(f"cannot write `{self.path}`: {error.strerror}") from error
        self._size += written
        if written < len(data):
            self._size -= written
            self._cut_back()
            raise AuditError(f"cannot write `{self.path}`: the disk took only part of a record")

    def has_moved(self) -> bool:
        """Whether `path` no longer names the open file, as after a rotation."""
        try:
            there, here = self.path.stat(), os.fstat(self._fd)
        except OSError:
            return True
        return (there.st_ino, there.st_dev) != (here.st_ino, here.st_dev)

    def close(self) -> None:
        """Close the file if it is open."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _cut_back(self) -> None:
        if self._fd < 0:
            return
        try:
            os.ftruncate(self._fd, self._size)
        except OSError as error:
            log.error("`%s` may end in part of a record: %s", self.path, error.strerror)

    def _last_line(self) -> bytes:
        start = max(0, self._size - MAX_TAIL_BYTES)
        tail = os.pread(self._fd, self._size - start, start)
        whole, _, torn = tail.rpartition(b"\n")
        if torn:
            # Nobody acted on a record that was not kept whole; a line after it has to start anew.
            log.warning("`%s` ended in part of a record; %d bytes cut off", self.path, len(torn))
            self._size -= len(torn)
            os.ftruncate(self._fd, self._size)
        return whole.rpartition(b"\n")[2]

    def __repr__(self) -> str:
        return f"<FileSink {self.path} {self._size} bytes>"
