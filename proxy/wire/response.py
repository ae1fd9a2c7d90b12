"""The head of a response as the client receives it, in our framing (RFC 9112 section 6)."""

import re
from typing import Final

from proxy.wire.framing import Framing

_status_lines: Final[dict[tuple[int, bytes], bytes]] = {}
MAX_STATUS_LINES: Final = 256
MAX_PHRASE_BYTES: Final = 64

_NOT_IN_A_PHRASE: Final = re.compile(rb"[^\t -~\x80-\xff]").search


def is_plain_phrase(phrase: bytes) -> bool:
    """Whether a reason phrase is one by RFC 9112 section 4; llhttp takes NUL and control bytes as well."""
    return _NOT_IN_A_PHRASE(phrase) is None


def status_line(status: int, phrase: bytes) -> bytes:
    """Return the status line; upstreams repeat a few, which are kept."""
    line = _status_lines.get((status, phrase))
    if line is None:
        line = b"HTTP/1.1 %d %b\r\n" % (status, phrase)
        if len(phrase) <= MAX_PHRASE_BYTES and len(_status_lines) < MAX_STATUS_LINES:
            _status_lines[status, phrase] = line
    return line


def framing_line(framing: Framing, status: int, content_length: int | None, version: str) -> bytes:
    """
    Return the line that frames the body for a client of this HTTP version, empty where there is none.

    A body whose end only the closing of the connection shows is sent in chunks, so that a client
    can tell the end from a break; HTTP/1.0 has no chunks.
    """
    if framing is Framing.CHUNKED or framing is Framing.UNTIL_CLOSE:
        return b"" if version == "1.0" else b"Transfer-Encoding: chunked\r\n"
    if content_length is None or status == 204:
        return b""
    return b"Content-Length: %d\r\n" % content_length


def closing_line(version: str, *, keep_alive: bool) -> bytes:
    """Return the line that says whether the connection stays open, empty if the version says it."""
    if keep_alive:
        return b"Connection: keep-alive\r\n" if version == "1.0" else b""
    return b"Connection: close\r\n"
