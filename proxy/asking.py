"""
One GET, one document: a small HTTP client for what we ask ourselves, off the byte path.

Law: what a server might slip in has no place to go. No redirect is followed (it would send us where nobody
configured), no cookie is kept, no compression is asked for or taken (a small answer must not grow in memory),
no variable of the environment names a proxy, and nothing is read past its limit.

The general client of aiohttp can do all this too, and takes ten megabytes of each process for what it can
do beside it.
"""

import asyncio
from typing import Final

import httptools

# Status line and headers; a document has its own limit.
MAX_HEAD_BYTES: Final = 64 * 1024

# What chunks may add to a document, as a multiple of it, before their sizes are longer than they.
MAX_FRAMING: Final = 2
READ_BYTES: Final = 64 * 1024


class AnswerError(Exception):
    """No answer came, or none that can be read; the message says what was wrong with it."""


class Answer:
    """
    One response, gathered whole: feed it what comes until `is_complete`.

    `status` and `encoding` (of the content, in lower case) are good from then on, as is `body`. Close it, or
    it stays until somebody looks for cycles.
    """

    def __init__(self, max_bytes: int) -> None:
        self.status = 0
        self.encoding = b"identity"
        self.body = bytearray()
        self.is_complete = False
        self._max_bytes = max_bytes
        self._received = 0
        self._in_body = False
        self._is_delimited = False
        self._parser = httptools.HttpResponseParser(self)

    def close(self) -> None:
        """Let go of the parser, which holds on to this and would keep both alive."""
        del self._parser

    def feed(self, data: bytes) -> None:
        """Take what came. Raises AnswerError."""
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.is_complete:  # behind the answer nothing is of interest
                raise AnswerError(f"the answer is not valid HTTP: {error}") from error
        self._check()

    def end(self) -> None:
        """Take the end of the connection. Raises AnswerError if it is not the end of the answer."""
        if self._in_body and not self._is_delimited:
            self.is_complete = True
        if not self.is_complete:
            raise AnswerError("the connection was closed before the answer was complete")

    def _check(self) -> None:
        if len(self.body) > self._max_bytes:
            raise AnswerError(f"the answer has more than {self._max_bytes} bytes")
        allowed = MAX_HEAD_BYTES + (MAX_FRAMING * self._max_bytes if self._in_body else 0)
        if not self.is_complete and self._received > allowed:
            raise AnswerError("the answer has no end")

    # The parser's events.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note what says how the body comes; in a trailer nothing does."""
        if self._in_body or self.is_complete:
            return
        lowered = name.lower()
        if lowered == b"content-encoding" and self.encoding == b"identity":
            self.encoding = value.strip().lower() or b"identity"
        self._is_delimited = self._is_delimited or lowered in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        """Take the status; what follows the answer has none that counts."""
        if not self.is_complete:
            self.status = self._parser.get_status_code()
            self._in_body = True

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if not self.is_complete:
            self.body += data

    def on_message_complete(self) -> None:
        """Note the end, unless it is that of an interim response, which leaves nothing behind."""
        if self.is_complete:
            return
        self.is_complete = self.status >= 200
        if not self.is_complete:
            self._in_body = self._is_delimited = False
            self.encoding = b"identity"
            self.body.clear()


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, target: str, max_bytes: int
) -> Answer:
    """
    Send a GET on a connection that is open, and return the answer; the connection cannot be used again.

    `host` and `target` are sent as they are. Raises AnswerError or OSError; how long it may take is up to
    the caller.
    """
    writer.write(
        f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: rolegate\r\nAccept: application/json\r\n"
        "Accept-Encoding: identity\r\nConnection: close\r\n\r\n".encode()
    )
    answer = Answer(max_bytes)
    try:
        while not answer.is_complete:
            data = await reader.read(READ_BYTES)
            if not data:
                answer.end()
                break
            answer.feed(data)
    finally:
        answer.close()
    return answer
