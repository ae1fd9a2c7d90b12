"""The end of a connection that nobody can take for an orderly one, and how to tell one that is."""

import asyncio
import socket
import ssl
import struct

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_END_ON_CLOSE = struct.pack("ii", 0, 0)


def reset(transport: asyncio.WriteTransport) -> None:
    """Close with a TCP reset: what was sent cannot pass for complete, and what was not is dropped."""
    reset_on_close(transport.get_extra_info("socket"))
    transport.abort()


def reset_on_close(sock: socket.socket | None) -> None:
    """Have the kernel send a reset where it would send an end; a UNIX socket knows none."""
    _linger(sock, _RESET_ON_CLOSE)


def end_on_close(sock: socket.socket | None) -> None:
    """Have the kernel send what is left and then an end, as it does unless told otherwise."""
    _linger(sock, _END_ON_CLOSE)


def _linger(sock: socket.socket | None, option: bytes) -> None:
    if sock is None:
        return  # a connection with TLS is closed a turn of the loop before we are told, and has none then
    try:
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
    except (OSError, ValueError):
        pass  # it is closed on the other side, which is as good


def said_farewell(tls: ssl.SSLObject) -> bool:
    """
    Whether the peer has said within TLS that nothing follows, after its connection has ended.

    Anybody in between can end a connection, and so cut what comes on it short (RFC 9112 section 9.8). The
    event loops report both ends alike, but a read tells them apart.
    """
    try:
        return tls.read(1) == b""
    except OSError:
        return False
