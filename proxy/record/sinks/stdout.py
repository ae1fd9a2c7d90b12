"""
Audit records on the standard output, one JSON line each, for a collector that reads it.

The reader of a pipe may stop reading. A blocked write would stop every request, those that need no
record included; so the sink asks first, writes only what cannot block, and otherwise fails.
"""

import os
import select
import stat

from proxy.errors import AuditError

# POSIX (PIPE_BUF): a pipe that polls writable takes this much at once, whole.
CHUNK_BYTES = 4096


class StdoutSink:
    """Writes to the file descriptor `fd`, the standard output by default."""

    __slots__ = ("_fd", "_poll", "_taken", "_writable")

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._writable = -1
        self._poll = select.poll()
        self._taken = 0

    def open(self) -> bytes:
        """Return no line: there is no reading back."""
        if self._writable < 0:
            try:
                self._writable = _without_waiting(self._fd)
            except OSError as error:
                raise AuditError(f"cannot open the standard output: {error.strerror}") from error
            self._poll.register(self._writable, select.POLLOUT)
        return b""

    def write(self, data: bytes) -> None:
        """
        Write `data`, or raise AuditError.

        What a pipe took cannot be taken back; a next call goes on where this one had to stop.
        """
        while self._taken < len(data):
            if not self._can_write():
                raise AuditError("nobody reads the standard output")
            try:
                self._taken += os.write(self._writable, _next_chunk(data, self._taken))
            except OSError as error:
                raise AuditError(f"cannot write the standard output: {error.strerror}") from error
        self._taken = 0

    def has_moved(self) -> bool:
        """Return False: there is only one."""
        return False

    def close(self) -> None:
        """Leave the standard output itself open: it is not ours."""
        if self._writable not in {-1, self._fd}:
            os.close(self._writable)
        self._writable = -1

    def _can_write(self) -> bool:
        return any(event & select.POLLOUT for _, event in self._poll.poll(0))

    def __repr__(self) -> str:
        return f"<StdoutSink fd={self._fd}>"


def _without_waiting(fd: int) -> int:
    """
    Return a descriptor of the same pipe that never blocks.

    Somebody else may write to the pipe between our asking and our writing, the standard error for one.
    The flag on `fd` itself would hold for them too. Nothing but a pipe is opened anew: a file would be
    written from its start.
    """
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        return fd
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return fd  # not permitted, or no such file system: asking first has to do


def _next_chunk(data: bytes, start: int) -> bytes:
    # To the end of a line where there is one, so that others' lines do not end up inside ours.
    end = data.rfind(b"\n", start, start + CHUNK_BYTES) + 1
    return data[start : end or start + CHUNK_BYTES]
