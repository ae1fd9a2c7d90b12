"""How a connection ends so that the client can tell a break from an end."""

import asyncio
import socket
import struct

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def reset(transport: asyncio.WriteTransport) -> None:
    """Close with a TCP reset: what was sent cannot pass for complete, and what was not is dropped."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        reset_on_close(sock)
    transport.abort()


def reset_on_close(sock: socket.socket) -> None:
    """Have the kernel send a reset where it would send an end; a UNIX socket knows none."""
    try:
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    except (OSError, ValueError):
        pass  # it is closed on the other side, which is as good


def end_sending(transport: asyncio.WriteTransport) -> bool:
    """
    Close our direction if it can be closed alone; return False if the client is gone.

    TLS closes both at once. There the response says where it ends, and `close_in_one` is for later.
    """
    try:
        if transport.can_write_eof():
            transport.write_eof()
    except OSError:
        return False
    return True


def close_in_one(transport: asyncio.WriteTransport | None) -> bool:
    """Close a connection that cannot close one direction alone, as with TLS; say whether this was one."""
    if transport is None or transport.can_write_eof() or transport.is_closing():
        return False
    transport.close()
    return True
