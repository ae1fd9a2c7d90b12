"""A PROXY header read from a connection whose bytes come in pieces, as the proxy reads it."""

from collections.abc import Iterable
from itertools import chain, repeat

from proxy.wire.proxy_protocol import ProxyHeader, missing_bytes, read_header

EVERYTHING = 1 << 20


def fed(data: bytes, sizes: Iterable[int] = ()) -> tuple[ProxyHeader, bytes]:
    """
    Return the header at the beginning of `data`, and what was left unread behind it.

    Pieces of `sizes` come one after the other, then all the rest. Raises ValueError for what is no header,
    EOFError if it does not end.
    """
    header, come, pieces = b"", 0, chain(sizes, repeat(EVERYTHING))
    while missing := missing_bytes(header):
        if come == len(header):
            come = min(come + next(pieces), len(data))
        taken = data[len(header) : min(come, len(header) + missing)]
        if not taken:
            raise EOFError
        header += taken
    return read_header(header), data[len(header) :]
