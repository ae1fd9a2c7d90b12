"""How a connection ends in order, which differs where TLS is spoken."""

import asyncio

from proxy.resetting import end_on_close, reset_on_close


class OpenEnd:
    """
    A response that ends where its connection ends, and must not seem to end before.

    Until it is finished the kernel resets the connection instead of ending it, also when this process is
    killed (RFC 9112 section 6.3: a client takes whatever came before the end for the whole).
    """

    __slots__ = ("_is_finished", "_socket")

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._socket = transport.get_extra_info("socket")
        self._is_finished = False
        reset_on_close(self._socket)

    def finish(self) -> None:
        """Note that the response is written whole, though some of it may wait for the client still."""
        self._is_finished = True

    def close(self) -> None:
        """
        Let the connection, for which nothing waits any more, end in order if the response has.

        With TLS it ends before we are told, once both have taken leave: then a reset takes nothing away.
        """
        if self._is_finished:
            end_on_close(self._socket)


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
