"""
The header lines that a client sends again and again on its connection, recognised by their bytes.

Law: the lines were read by the parser once, as those of a request without a body that came whole, in
one piece. The same bytes behind a plain request line mean the same again; whatever differs in one byte,
comes in two pieces or has something behind it goes to the parser.

Written for `small` of `tests/bench/inner.py`: parsing and sorting a dozen lines is what it saves.
"""

import re
from typing import Final

from proxy.model.request import Headers
from proxy.wire.reading import HeaderBlock

# `method SP target SP HTTP/1.1`, for methods that mean nothing by a missing body. What else may stand in
# a target, a fragment for one, is the parser's to judge.
_REQUEST_LINE: Final = re.compile(rb"(GET|HEAD|OPTIONS|DELETE) (/[!\"$-~]*+) HTTP/1\.1\r\n").fullmatch
_HEAD_END: Final = b"\r\n\r\n"
_LINE_END: Final = b"\r\n"
_EMPTY: Final = (b"\r", b"\n")


class Familiar:
    """
    The lines as they came, the empty one included, and what they say.

    `headers` are the lines as the parser told them. The last request line is known too, for a client that
    asks for the same thing again.
    """

    __slots__ = ("_claimed_line", "_said", "block", "headers", "lines")

    def __init__(self, lines: bytes, headers: Headers, block: HeaderBlock) -> None:
        self.lines = lines
        self.headers = headers
        self.block = block
        self._claimed_line = b""
        self._said: tuple[str, bytes] | None = None

    def request_line(self, received: bytes, max_target_bytes: int) -> tuple[str, bytes] | None:
        """Return method and target if `received` is one request with these lines, else None."""
        if not received.endswith(self.lines):
            return None
        claimed_line = received[: -len(self.lines)]
        if claimed_line != self._claimed_line:
            self._said = _said(claimed_line)
            self._claimed_line = claimed_line
        said = self._said
        return said if said is not None and len(said[1]) <= max_target_bytes else None

    def __repr__(self) -> str:
        return f"<Familiar {len(self.lines)} bytes>"


def _said(claimed_line: bytes) -> tuple[str, bytes] | None:
    match = _REQUEST_LINE(claimed_line)
    return None if match is None else (match[1].decode("ascii"), match[2])


def familiar(received: bytes, headers: Headers, block: HeaderBlock) -> Familiar | None:
    """Return the lines of a request that was read as `block`, None if more than its head came."""
    # The parser skips what is empty, a row of bare line feeds as well; the first line would then be none of
    # the request's, and its request line would be remembered as a header line.
    if received[:1] in _EMPTY or received.find(_HEAD_END) != len(received) - len(_HEAD_END):
        return None
    lines_at = received.find(_LINE_END) + len(_LINE_END)
    return Familiar(received[lines_at:], headers, block)
