"""
The request line in its one form: `method SP target SP HTTP/version` (RFC 9112 section 3).

Law: llhttp takes several spaces, and `RTSP/1.0` or `ICE/1.0` for `HTTP/1.0`; the hop before us may
have read another request there, so a line that is not plain is refused.
"""

from typing import Final

UNKNOWN: Final = -1
HEAD_END: Final = b"\r\n\r\n"


def is_plain(received: bytes | bytearray, start: int, method: bytes, target: bytes, version: str) -> bool:
    """
    Whether the request that llhttp read as these three parts begins with the plain line.

    `start` is its place in `received`, empty lines before it included. Where that is `UNKNOWN`, behind a
    body, nothing there may look like another spelling of the line: a body can hold the plain one.
    """
    line = b"%b %b HTTP/%b\r\n" % (method, target, version.encode())
    if start >= 0:
        return received.startswith(line, start) or received.startswith(line, _skip_empty(received, start))
    strange = (method + b"  ", target + b"  ", target + b" RTSP/", target + b" ICE/")
    return line in received and not any(spelling in received for spelling in strange)


def next_start(received: bytes | bytearray, start: int) -> int:
    """Return where the request behind the one at `start`, which has no body, begins."""
    return received.find(HEAD_END, _skip_empty(received, start)) + len(HEAD_END)


def _skip_empty(received: bytes | bytearray, start: int) -> int:
    while received[start : start + 1] in (b"\r", b"\n"):
        start += 1
    return start
