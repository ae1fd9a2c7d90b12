"""
A worker's watch over its supervisor, on a thread, which nothing that the worker does can keep from seeing.

Law: no worker outlives its supervisor by more than the time for a shutdown. The event loop ends the worker
in order when the channel ends. What has not ended when that time is over, a blocked event loop, a thread
that never returns, is killed, as the supervisor would have done.
"""

import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable

log = logging.getLogger("rolegate.worker")

# What a worker may need beyond its own time for a shutdown: resets, last records, last diagnostics.
FAREWELL_S = 8.0

# How long it may take to log why: the log has a thread of its own, which may be stuck as well.
LAST_WORDS_S = 0.5


class Vigil:
    """Kills this process `patience_s()` after the other side of `channel` is gone."""

    __slots__ = ("_channel", "_patience_s")

    def __init__(self, channel: socket.socket, patience_s: Callable[[], float]) -> None:
        # A descriptor of its own: the worker closes the other one on its way out.
        self._channel = channel.dup()
        self._patience_s = patience_s

    def begin(self) -> None:
        """Watch until the end of this process; whoever does not want to be killed ends before."""
        threading.Thread(target=self._watch, name="watch the supervisor", daemon=True).start()

    def _watch(self) -> None:
        # Not POLLIN: what was ordered is for others to read.
        gone = select.poll()
        gone.register(self._channel, select.POLLRDHUP)
        while not gone.poll():
            pass
        time.sleep(self._patience_s())
        threading.Thread(target=log.error, args=("did not end in time; killing myself",), daemon=True).start()
        time.sleep(LAST_WORDS_S)
        os.kill(os.getpid(), signal.SIGKILL)
