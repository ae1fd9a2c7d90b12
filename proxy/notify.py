"""
Tells systemd how the service does (sd_notify(3)): one datagram a message, to the socket that it named.

Without systemd there is no such socket, and nothing is said.
"""

import os
import socket
import time

VARIABLE = "NOTIFY_SOCKET"


def ready() -> None:
    """Say that requests are served, with the configuration that was asked for."""
    _tell("READY=1")


def reloading() -> None:
    """Say that a configuration is being read; `ready` follows, whatever came of it."""
    # Type=notify-reload takes the message only with the time, to tell it from an older one.
    _tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping() -> None:
    """Say that the end has begun."""
    _tell("STOPPING=1")


def _tell(message: str) -> None:
    path = os.environ.get(VARIABLE, "")
    if not path.startswith(("/", "@")):
        return
    # `@` stands for the zero byte with which a name in the abstract namespace begins.
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
        try:
            end.setblocking(False)
            end.sendto(message.encode(), address)
        except OSError:
            pass  # the service is the same without somebody who watches it
