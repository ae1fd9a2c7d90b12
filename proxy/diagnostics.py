"""
Diagnostics on the standard error, written by a thread of their own so that a slow reader stops no request.

Law: what is logged are our own sentences; no token, header or query string is ever an argument. A
message is one line: text from elsewhere in it cannot pose as another message. Neither requests nor
the end of the process wait for a reader that stalls; what it does not take is dropped.
"""

import atexit
import copy
import json
import logging
import logging.handlers
import os
import queue
import select
import sys
import threading
import time
from collections.abc import Callable

# A reader that stalls must not make us hold messages without end; what does not fit is dropped.
MAX_WAITING_MESSAGES = 10_000

# How long the last messages may take to be read when the process ends.
MAX_FAREWELL_S = 2.0

# POSIX (PIPE_BUF): a pipe that polls writable takes this much at once.
CHUNK_BYTES = 4096

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


class TextFormatter(logging.Formatter):
    """One line a message, times in UTC, and the traceback of an error behind it."""

    def __init__(self, worker: int | None = None) -> None:
        who = "" if worker is None else f"worker {worker}: "
        super().__init__(f"%(asctime)s %(levelname)-7s {who}%(message)s", "%H:%M:%S")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is the library's
        """Return the message without anything that begins another line."""
        return super().formatMessage(record).translate(_CONTROL)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, times in UTC."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self.converter = time.gmtime
        self._worker = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line of JSON."""
        members = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            **self._worker,
            "message": record.getMessage(),
        }
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return json.dumps(members)


class DroppingQueueHandler(logging.handlers.QueueHandler):
    """Hands messages over without ever waiting."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return the record with its sentence complete: the arguments may be others a moment later."""
        complete = copy.copy(record)
        complete.msg, complete.args = record.getMessage(), None
        return complete

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue the record, or drop it if the queue is full."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            pass


class PatientHandler(logging.Handler):
    """Writes to a file descriptor whose reader may be slow; once `hurry` was called, not for much longer."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._give_up_at = float("inf")

    def hurry(self) -> None:
        """Give the reader a last while, then drop what it does not take."""
        self._give_up_at = time.monotonic() + MAX_FAREWELL_S

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        data = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
        try:
            while data and self._wait():
                data = data[os.write(self._fd, data[:CHUNK_BYTES]) :]
        except OSError:
            pass  # nobody is left to tell

    def _wait(self) -> bool:
        while True:
            is_late = time.monotonic() >= self._give_up_at
            if self._poll.poll(0 if is_late else 100):
                return True
            if is_late:
                return False


def log_unraisable(found: "sys.UnraisableHookArgs") -> None:
    """Log what Python could only print, past the limits and the form of diagnostics."""
    # With bytes it is `ssl`, about a server name that is no ASCII: any client sends one as often as it likes.
    level = logging.DEBUG if isinstance(found.object, bytes) else logging.ERROR
    error = found.exc_value
    cause = None if error is None else (type(error), error, error.__traceback__)
    logging.getLogger("rolegate").log(level, "an exception could not be raised", exc_info=cause)


def start_logging(
    style: str, level: int = logging.INFO, fd: int = 2, worker: int | None = None
) -> Callable[[], None]:
    """
    Start to write diagnostics as `text` or `json`, with the number of the worker that writes them.

    The end of the process writes what is left; so does a call of what is returned.
    """
    handler = PatientHandler(fd)
    handler.setFormatter(JsonFormatter(worker) if style == "json" else TextFormatter(worker))
    waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(MAX_WAITING_MESSAGES)
    root = logging.getLogger()
    root.handlers[:] = [DroppingQueueHandler(waiting)]
    root.setLevel(level)
    # What libraries say at this level is about their own affairs.
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    writer = threading.Thread(target=_write_all, args=(waiting, handler), name="diagnostics", daemon=True)
    writer.start()
    hook, sys.unraisablehook = sys.unraisablehook, log_unraisable

    def stop() -> None:
        sys.unraisablehook = hook
        handler.hurry()
        try:
            # Longer than the farewell, after which the queue empties by itself: nobody may go on writing to
            # a file descriptor that could soon be somebody else's.
            waiting.put(None, timeout=MAX_FAREWELL_S + 1.0)
        except queue.Full:
            return
        writer.join(MAX_FAREWELL_S + 1.0)

    atexit.register(stop)
    return stop


def _write_all(waiting: queue.Queue[logging.LogRecord | None], handler: logging.Handler) -> None:
    while (record := waiting.get()) is not None:
        handler.handle(record)
