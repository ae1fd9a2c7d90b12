"""The end of a connection that nobody can take for an orderly one."""

import asyncio
import socket
import struct

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """Drop a connection with a TCP reset; where there is none, as on a UNIX socket, drop it all the same."""
    sock = transport.get_extra_info("socket")
    try:
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    except OSError:
        pass  # it is closed on the other side, which is as good
    transport.abort()
