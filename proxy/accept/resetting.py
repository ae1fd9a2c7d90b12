"""How a connection is broken off, so that nobody takes the break for an end."""

import asyncio
import socket
import struct

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """Close at once, with a RST where there is such a thing, and drop what was not sent."""
    sock = transport.get_extra_info("socket")
    try:
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    except (OSError, ValueError):
        pass  # it is closed on the other side, which is as good
    transport.abort()
