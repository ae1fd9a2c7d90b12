"""
Responses out of bytes: what the C parser tells, and what it does not know.

Law: a response that can be read in two ways is not passed on. What is announced where no body may be, a
phrase with control bytes, a switch that nobody asked for: each stops the parser for good.
"""

import asyncio
from typing import TYPE_CHECKING, Final

import httptools

from proxy.forward.interfaces import Receiver
from proxy.forward.refusing import ResponseRefused
from proxy.wire.framing import Framing, response_framing
from proxy.wire.headers import (
    EVERYDAY_CONNECTION,
    content_length,
    keep_in_response,
    normal_name,
    without_nominated,
)
from proxy.wire.response import is_plain_phrase
from proxy.wire.trailers import passes_down

if TYPE_CHECKING:
    from proxy.forward.pool import Pool

# An upstream that sends more header lines or bytes than this is broken or hostile.
MAX_HEADER_COUNT: Final = 256
MAX_HEAD_BYTES: Final = 128 * 1024

# Each trailer counts for so many bytes of a head more than it has, which bounds how many there are.
TRAILER_COST: Final = 1024

NEVER: Final = float("inf")


class ResponseReading(asyncio.Protocol):
    """A connection as far as it reads; the parser calls what begins with `on_`."""

    # For the compiler: what is let go by `del`, since it would hold a cycle together.
    __deletable__ = ("_parser",)
    __slots__ = (
        "_ahead",
        "_can_reuse",
        "_content_length",
        "_framing",
        "_head_bytes",
        "_is_blocked",
        "_is_complete",
        "_is_fresh",
        "_is_paused",
        "_left",
        "_lines",
        "_may_switch",
        "_named",
        "_nominated",
        "_parser",
        "_phrase",
        "_pool",
        "_receiver",
        "_request_ended",
        "_saw_eof",
        "_says_close",
        "_silent_bytes",
        "_status",
        "_timeouts",
        "_transfer_encodings",
        "deadline",
        "transport",
    )

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self.transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._request_ended = True
        self._ahead = b""
        self.deadline = NEVER
        self._phrase = b""
        self._lines: list[bytes] = []
        self._nominated: set[bytes] = set()
        self._says_close = False
        self._content_length: int | None = None
        self._transfer_encodings: list[bytes] = []
        self._head_bytes = 0
        self._framing: Framing | None = None
        self._is_blocked = False
        self._is_complete = False
        self._is_fresh = True
        self._is_paused = False
        self._left = 0
        self._may_switch = False
        self._named: list[bytes] = []
        self._can_reuse = False
        self._saw_eof = False
        self._silent_bytes = 0
        self._status = 0
        self._timeouts = pool.timeouts

    def on_message_begin(self) -> None:
        """A response begins; a second one for the same request is not ours to pass on."""
        if self._is_complete:
            raise ResponseRefused
        self._begin_head()

    def on_status(self, phrase: bytes) -> None:
        """Take the reason phrase, or a part of it."""
        self._phrase += phrase

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header line, or one trailer."""
        if self._framing is not None:
            self._take_trailer(name, value)
            return
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > MAX_HEAD_BYTES or len(self._lines) > 4 * MAX_HEADER_COUNT:
            raise ResponseRefused
        if keep_in_response(name):
            self._lines += (name, b": ", value, b"\r\n")
            return
        lowered = name.lower()
        if lowered == b"content-length":
            self._content_length = content_length(value)
        elif lowered == b"transfer-encoding":
            # Not a tab: llhttp takes `chunked<tab>` for a coding that it does not know, and reads no chunks.
            self._transfer_encodings.append(value.strip(b" ").lower())
        elif lowered == b"upgrade":
            self._named.append(value)
        elif lowered == b"connection":
            # The parser forgets a `close` where HTTP/1.0 also says `keep-alive`.
            self._says_close = self._says_close or b"close" in value.lower()
            if value not in EVERYDAY_CONNECTION:
                self._nominated.update(normal_name(token.strip(b" \t")) for token in value.split(b","))

    def _take_trailer(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + TRAILER_COST
        if self._is_complete or self._receiver is None or self._head_bytes > MAX_HEAD_BYTES + TRAILER_COST:
            raise ResponseRefused
        if passes_down(name, self._nominated):
            self._receiver.response_trailer(name, value)

    def on_headers_complete(self) -> None:
        """Hand on the head, an interim one or the final one."""
        receiver = self._receiver
        if receiver is None or self._is_complete:
            raise ResponseRefused
        if self._phrase != b"OK" and not is_plain_phrase(self._phrase):
            raise ResponseRefused
        status = self._status = self._parser.get_status_code()
        lines = without_nominated(self._lines, self._nominated) if self._nominated else self._lines
        if status < 200:
            if status < 100 or (status == 101 and not self._can_switch):
                raise ResponseRefused
            if self._transfer_encodings or self._content_length:
                raise ResponseRefused  # RFC 9112 section 6.1: who announces a body here may send one, too
            if status == 101:
                return  # the parser stops behind it
            receiver.interim_response(status, self._phrase, lines)
            return
        encodings = self._transfer_encodings
        framing = response_framing(receiver.method, status, encodings, self._content_length)
        if framing is None or (encodings and self._parser.get_http_version() == "1.0"):
            # RFC 9112 section 6.1: HTTP/1.0 has no chunks, somebody in between has mixed things up.
            raise ResponseRefused
        self._framing = framing
        self._silent_bytes = 0
        receiver.response_head(status, self._phrase, lines, framing, self._content_length)
        if receiver.method == "HEAD":
            self._end_without_body()

    def on_chunk_header(self) -> None:
        """Notice a body in chunks behind the answer to a HEAD, be it an empty one."""
        if self._is_complete:
            raise ResponseRefused

    def on_body(self, data: bytes) -> None:
        """Hand on a piece of the body."""
        if self._is_complete or self._receiver is None:
            raise ResponseRefused
        self._silent_bytes = 0
        self._receiver.response_body(data)

    def on_message_complete(self) -> None:
        """Note the end of the final response."""
        if self._status >= 200:
            self._is_complete = True
            # The parser forgets once it goes on. What a 204 announces may follow it all the same.
            self._can_reuse = self._stays and not (
                self._status == 204 and (self._transfer_encodings or self._content_length)
            )

    @property
    def _can_switch(self) -> bool:
        """Whether a 101 is one as far as HTTP goes: asked for, with the right Connection, without a body."""
        has_body = bool(self._content_length or self._transfer_encodings)
        return self._may_switch and self._request_ended and self._parser.should_upgrade() and not has_body

    @property
    def _stays(self) -> bool:
        """Whether the upstream will read another request on this connection."""
        return self._parser.should_keep_alive() and not self._says_close

    def _begin_head(self) -> None:
        self._phrase = b""
        self._lines = []
        self._nominated = set()
        self._says_close = False
        self._named = []
        self._content_length = None
        self._transfer_encodings = []
        self._head_bytes = 0

    def _end_without_body(self) -> None:
        # llhttp does not know that this answers a HEAD and waits for the body that the length
        # announces; a fresh parser reads the next response.
        self._is_complete = True
        self._can_reuse = self._stays
