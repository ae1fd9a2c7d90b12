"""
Audit records in a JSON Lines file, opened append-only.

A record is kept once the kernel has it: it survives the end of this process at any moment, `kill -9`
included. A write is all or nothing: what part of it reached the file before the disk was full is cut
off again, so that a line in the file is always a whole record. The file has one writer: two would
break each other's chain.
"""

import fcntl
import logging
import os
import stat
from pathlib import Path

from proxy.errors import AuditError

log = logging.getLogger("rolegate.audit")

# A record is about 1 KB; a longer last line than this was not written by us.
MAX_TAIL_BYTES = 256 * 1024

# What each record begins with. Only a last line that begins so is a record of ours, cut short.
RECORD_START = b'{"v":'

# Regular files know nothing of NONBLOCK; a terminal or another device must not make every request wait.
FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class FileSink:
    """Appends to the file at `path`, readable by its owner alone, and notices when it is gone."""

    __slots__ = ("_fd", "_file", "_torn_at", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._file: tuple[int, int] | None = None
        self._torn_at: int | None = None

    def open(self) -> bytes:
        """
        Open the file, creating it where it is missing, and return its last whole line.

        Nothing in it is changed yet: the caller has to recognise that line first.
        """
        self.close()
        try:
            self._fd = os.open(self.path, FLAGS, 0o600)
            self._require_only_writer()
            return self._last_line()
        except OSError as error:
            self.close()
            raise AuditError(f"cannot open `{self.path}`: {error.strerror}") from error
        except AuditError:
            self.close()
            raise

    def write(self, data: bytes) -> None:
        """Append `data`, or raise AuditError with nothing of it left in the file."""
        try:
            if self._torn_at is not None:
                self._cut_torn(self._torn_at)
            before = os.fstat(self._fd)
            if before.st_nlink == 0:
                # Writing would succeed, into a file that nobody can ever read.
                raise AuditError(f"`{self.path}` was removed")
            self._append(data, before.st_size)
        except OSError as error:
            raise AuditError(f"cannot write `{self.path}`: {error.strerror}") from error

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

    def _require_only_writer(self) -> None:
        if stat.S_ISFIFO(os.fstat(self._fd).st_mode):
            raise AuditError(f"`{self.path}` is a pipe; write to the standard output instead")
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AuditError(f"`{self.path}` is being written by another process") from None

    def _note_torn(self, torn_at: int | None) -> None:
        found = os.fstat(self._fd)
        file = (found.st_dev, found.st_ino)
        # What could not be cut off before may hold whole lines, of a batch that will come once more.
        if file != self._file or self._torn_at is None:
            self._torn_at = torn_at
        self._file = file

    def _append(self, data: bytes, size: int) -> None:
        written = 0
        try:
            # A second write says why the first took only a part.
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:
            if written:
                self._torn_at = size
                self._cut_torn(size)
            raise

    def _cut_torn(self, size: int) -> None:
        # Where even this fails it stays noted: nothing may be written behind part of a record.
        if os.fstat(self._fd).st_size > size:
            os.ftruncate(self._fd, size)
        self._torn_at = None

    def _last_line(self) -> bytes:
        size = os.fstat(self._fd).st_size
        start = max(0, size - MAX_TAIL_BYTES)
        tail = os.pread(self._fd, size - start, start)
        whole, line_end, torn = tail.rpartition(b"\n")
        self._note_torn(size - len(torn) if torn else None)
        if torn:
            if (start and not line_end) or not _is_start_of_record(torn):
                raise AuditError(f"`{self.path}` ends in something that is no audit record; move it away")
            # Nobody acted on a record that was not kept whole; a line after it has to start anew.
            log.warning("`%s` ends in part of a record; %d bytes will be cut off", self.path, len(torn))
        return whole.rpartition(b"\n")[2]

    def __repr__(self) -> str:
        return f"<FileSink {self.path}{' closed' if self._fd < 0 else ''}>"


def _is_start_of_record(torn: bytes) -> bool:
    return torn.startswith(RECORD_START) or RECORD_START.startswith(torn)
