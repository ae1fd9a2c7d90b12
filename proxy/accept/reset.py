"""How a connection ends that must not look complete."""

import asyncio
import socket
import struct

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """Close a connection at once, with a TCP reset and without the farewell of TLS."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        reset_on_close(sock)
    transport.abort()


def reset_on_close(sock: socket.socket) -> None:
    """Have the kernel send a reset where it would send an end; a UNIX socket knows none."""
    try:
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    except OSError:
        pass  # it is closed on the other side, which is as good
