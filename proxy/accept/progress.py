"""
How fast a client sends its request and takes its response.

Law: what counts is what reached the client's side, not what left our buffer. Behind the buffers of the
kernel, some megabytes, a slow and steady reader looks for minutes like one that takes nothing; and what
a client has not acknowledged it has not taken.
"""

import asyncio
import fcntl
import socket
import struct
import termios
from typing import Self

from proxy.accept.limits import Limits

# struct tcp_info of linux/tcp.h, an interface that only grows: after 8 bytes of flags, 24 numbers of
# 4 bytes and two of 8 stands tcpi_bytes_acked.
_ACKED = struct.Struct("=Q")
_ACKED_AT = 8 + 24 * 4 + 2 * 8
_TCP_INFO = getattr(socket, "TCP_INFO", None)

# Of what is unacknowledged, the end of the stream counts as one byte.
_END_OF_STREAM = 1


class Pace:
    """
    Whether a body comes at `rate` bytes a second, over windows of `window_s`.

    A window starts anew when reading goes on after a pause of ours: that was nobody's slowness.
    """

    __slots__ = ("_bytes", "_ends_at", "_needed", "_pause_s", "_window_s")

    def __init__(self, rate: int, window_s: float, pause_s: float) -> None:
        self._needed = rate * window_s
        self._window_s = window_s
        self._pause_s = pause_s
        self._bytes = 0
        self._ends_at = 0.0

    @classmethod
    def of(cls, limits: Limits) -> Self | None:
        """Return what the limits ask for, or None."""
        if limits.min_request_rate is None:
            return None
        return cls(limits.min_request_rate, limits.rate_window_s, limits.body_idle_timeout_s)

    def start(self, now: float) -> float:
        """Begin a window, and return when it ends."""
        self._bytes = 0
        self._ends_at = now + self._window_s
        return self._ends_at

    def count(self, size: int) -> float:
        """Count bytes that came, and return when the window ends."""
        self._bytes += size
        return self._ends_at

    def go_on(self, transport: asyncio.Transport, now: float) -> float | None:
        """Return when to look again, or None if nothing, or not enough, has come in the window."""
        # What waits in the kernel has come: then it is we who are slow, and did not get to read it.
        if (now < self._ends_at or self._bytes < self._needed) and unread(transport) == 0:
            return None
        return min(self.start(now), now + self._pause_s)


class Taking:
    """
    Whether a client takes what waits for it.

    With a least rate it has to take as much as that over each window; without one, something within
    every `write_idle_timeout_s`.
    """

    __slots__ = ("_pause_s", "_rate", "_since", "_taken")

    def __init__(self, limits: Limits) -> None:
        self._rate = limits.min_response_rate
        self._pause_s = limits.write_idle_timeout_s
        if self._rate is not None:
            self._pause_s = min(self._pause_s, limits.rate_window_s)
        self._taken = 0
        self._since = 0.0

    def start(self, transport: asyncio.Transport, now: float) -> float:
        """Begin to watch, and return when to look again."""
        self._taken = taken(transport)
        self._since = now
        return now + self._pause_s

    def go_on(self, transport: asyncio.Transport, now: float) -> float | None:
        """Return when to look again, or None if nothing waits any more or the client took too little."""
        before, since = self._taken, self._since
        if now < since + self._pause_s:
            # Too early to say what is too little, but not to see that all is taken: at each sweep, then.
            return now if waiting(transport) > 0 else None
        look_again_at = self.start(transport, now)
        needed = 1.0 if self._rate is None else max(1.0, self._rate * (now - since))
        is_fast_enough = self._taken - before >= needed
        return look_again_at if is_fast_enough and waiting(transport) > 0 else None


def taken(transport: asyncio.Transport) -> int:
    """Return a number that grows by one for each byte that the client's side has taken."""
    sock = transport.get_extra_info("socket")
    try:
        if _TCP_INFO is None or sock is None or sock.family == socket.AF_UNIX:
            return -waiting(transport)
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKED_AT + _ACKED.size)
    except (OSError, ValueError):
        return 0  # the connection is gone (uvloop: ValueError), nothing will be taken
    return int(_ACKED.unpack_from(info, _ACKED_AT)[0]) if len(info) >= _ACKED_AT + _ACKED.size else 0


def waiting(transport: asyncio.Transport) -> int:
    """Return how many bytes wait for the client, in our buffer and in the kernel's."""
    return transport.get_write_buffer_size() + _in_kernel(transport)


def unread(transport: asyncio.Transport) -> int:
    """Return how many bytes of the client wait in the kernel to be read."""
    return _asked(transport, termios.FIONREAD)


def _in_kernel(transport: asyncio.Transport) -> int:
    return max(0, _asked(transport, termios.TIOCOUTQ) - _END_OF_STREAM)


def _asked(transport: asyncio.Transport, question: int) -> int:
    sock = transport.get_extra_info("socket")
    if sock is None:
        return 0
    answer = bytearray(4)
    try:
        fcntl.ioctl(sock.fileno(), question, answer)
    except (OSError, ValueError):
        return 0
    return int.from_bytes(answer, "little")
