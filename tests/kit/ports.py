"""Loopback ports: which are free, and whether somebody answers on one."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a port that nobody listens on; another process may still be quicker to take it."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return `count` different free ports."""
    # All are held until the last is known, or the system might hand out one of them twice.
    held = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports: list[int] = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return ports


def answers(port: int) -> bool:
    """Say whether a connection to `port` is accepted."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], *, what: str, timeout_s: float = 10.0) -> None:
    """Return as soon as `condition` holds; raise `TimeoutError` naming `what` if it does not in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= end:
            raise TimeoutError(f"{what} did not come about within {timeout_s:g} s")
        time.sleep(0.01)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a TCP reset, which no reader can take for the end of a message."""
    if writer.transport.is_closing():
        return
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
