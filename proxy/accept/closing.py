"""How a connection ends so that the client can tell a break from an end."""

import asyncio
import socket
import struct

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def reset(transport: asyncio.WriteTransport) -> None:
    """Close with a TCP reset: what was sent cannot pass for complete, and what was not is dropped."""
    sock = transport.get_extra_info("socket")
    try:
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    except OSError:
        pass  # it is closed on the other side, which is as good
    transport.abort()
