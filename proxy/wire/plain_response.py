"""
The everyday response read without the C parser: a whole head, and a body of announced length.

Most responses repeat most of their header lines, so that a line looked up costs less than one parsed
again. Law: what is read here, llhttp reads the same way (a test compares them); whatever is not plain
(an interim response, chunks, a body without length, a switch of protocols, a spelling out of the
ordinary) is left to it.

Written for `small` and `16k` of `tests/bench/inner.py`.
"""

import re
from typing import Final

from proxy.wire.headers import MAX_KNOWN_NAMES, keep_in_response

HEAD_END: Final = b"\r\n\r\n"

# What an upstream sends beyond this is read by the parser, which knows its limits.
MAX_PLAIN_BYTES: Final = 16 * 1024
MAX_PLAIN_LINES: Final = 128

# The heads of a busy upstream differ once a second, in their `Date`. An upstream may send any number of
# different ones: short ones are kept, and at so many the memory starts anew.
MAX_KNOWN_HEADS: Final = 512
MAX_KNOWN_HEAD_BYTES: Final = 1024
MAX_KNOWN_LINES: Final = 4 * MAX_KNOWN_NAMES
MAX_KNOWN_LINE_BYTES: Final = 256

# Not 204 and 304, which have no body whatever they announce, and nothing that HTTP/1.0 says.
_STATUS_LINE: Final = re.compile(
    rb"HTTP/1\.1 (20[0-35-9]|3(?!04)[0-9]{2}|[45][0-9]{2}) ([!-~][ -~]*+|)"
).fullmatch
_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++): ([!-~](?:[ -~]*[!-~])?)").fullmatch
_LENGTH: Final = re.compile(rb"[0-9]{1,15}").fullmatch

# `Proxy-Connection: close` ends the connection for llhttp as `Connection: close` does.
MEANT_FOR_THE_PARSER: Final = frozenset({b"transfer-encoding", b"upgrade", b"trailer", b"proxy-connection"})


class PlainHead:
    """A response head of `size` bytes; `lines` are for the client, without those that frame the body."""

    __slots__ = ("content_length", "lines", "phrase", "size", "status")

    def __init__(
        self, status: int, phrase: bytes, lines: list[bytes], content_length: int, size: int
    ) -> None:
        self.status = status
        self.phrase = phrase
        self.lines = lines
        self.content_length = content_length
        self.size = size


# A line for the client with its end, empty if it is not for the client; or the announced length.
Line = bytes | int

_known_heads: Final[dict[bytes, PlainHead]] = {}
_known_lines: Final[dict[bytes, Line]] = {}


def read_plain(received: bytes) -> PlainHead | None:
    """Return the head that `received` begins with, to be read only, or None if it is not plain."""
    end = received.find(HEAD_END, 0, MAX_PLAIN_BYTES)
    if end < 0:
        return None
    claimed = received[:end]
    head = _known_heads.get(claimed)
    if head is None:
        head = _read(claimed)
        if head is not None and end <= MAX_KNOWN_HEAD_BYTES:
            if len(_known_heads) >= MAX_KNOWN_HEADS:
                _known_heads.clear()
            _known_heads[claimed] = head
    return head


def _read(claimed_head: bytes) -> PlainHead | None:
    status_line, *claimed_lines = claimed_head.split(b"\r\n")
    status = _STATUS_LINE(status_line)
    if status is None or len(claimed_lines) > MAX_PLAIN_LINES:
        return None
    content_length, lines = -1, []
    for line in claimed_lines:
        known = _known_lines.get(line)
        if known is None:
            known = _read_line(line)
        if isinstance(known, bytes):
            lines.append(known)
        elif known is not None and content_length < 0:
            content_length = known
        else:
            return None
    if content_length < 0:
        return None
    size = len(claimed_head) + len(HEAD_END)
    return PlainHead(int(status[1]), status[2], [b"".join(lines)], content_length, size)


def _read_line(line: bytes) -> Line | None:
    match = _LINE(line)
    meaning = None if match is None else _meaning(match[1], match[2], line)
    if meaning is not None and len(line) <= MAX_KNOWN_LINE_BYTES:
        if len(_known_lines) >= MAX_KNOWN_LINES:
            _known_lines.clear()
        _known_lines[line] = meaning
    return meaning


def _meaning(name: bytes, value: bytes, line: bytes) -> Line | None:
    if keep_in_response(name):
        return line + b"\r\n"
    lowered = name.lower()
    if lowered == b"content-length":
        return int(value) if _LENGTH(value) is not None else None
    if lowered == b"connection":
        # Anything else closes the connection, or names other lines.
        return b"" if value.lower() == b"keep-alive" else None
    return None if lowered in MEANT_FOR_THE_PARSER else b""
