"""
Diagnostics on the standard error, written by a thread of their own so that a slow reader stops no request.

Law: what is logged are our own sentences; no token, header or query string is ever an argument.
"""

import json
import logging
import logging.handlers
import queue
import sys
from collections.abc import Callable

# A reader that stalls must not make us hold messages without end; what does not fit is dropped.
MAX_WAITING_MESSAGES = 10_000


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line of JSON."""
        members = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return json.dumps(members, ensure_ascii=False)


class DroppingQueueHandler(logging.handlers.QueueHandler):
    """Hands messages over without ever waiting."""

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue the record, or drop it if the queue is full."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            pass


def start_logging(style: str, level: int = logging.INFO) -> Callable[[], None]:
    """Start to write diagnostics as `text` or `json`; call what is returned to write the rest and end."""
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(MAX_WAITING_MESSAGES)
    listener = logging.handlers.QueueListener(waiting, handler)
    root = logging.getLogger()
    root.handlers[:] = [DroppingQueueHandler(waiting)]
    root.setLevel(level)
    # What libraries say at this level is about their own affairs.
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    listener.start()
    return listener.stop
