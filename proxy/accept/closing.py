"""How a connection ends in order, which differs where TLS is spoken."""

import asyncio


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
