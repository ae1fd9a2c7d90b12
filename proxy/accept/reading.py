"""
Requests out of bytes: the C parser, and the limits that it does not know.

Law: bytes that can be read in two ways, or without end, stop the reading for good; what was read
before them stands. A trailer is never merged into the headers, where it could pose as one.
"""

import logging
from typing import Final, Protocol

import httptools

from proxy.accept.limits import Limits
from proxy.model.decision import Reason
from proxy.model.request import Headers
from proxy.wire.request_line import UNKNOWN, is_plain, next_start

log = logging.getLogger("rolegate.accept")

# What a client sends behind a request for an upgrade waits for the answer; past this the client does too.
MAX_AHEAD_BYTES: Final = 64 * 1024

# What a request line holds beside its target, and what a header line may hold beside name and value.
SLACK_BYTES: Final = 1024

Problem = tuple[Reason, str]


class RequestRefused(Exception):  # noqa: N818 - it stops the parser, it is no error
    """Stops the parser from within its callbacks and says why."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Reading(Protocol):
    """Takes what was read, as it is read."""

    def head(self, method: str, target: bytes, version: str, headers: Headers, keep_alive: bool) -> None:
        """Take the head of a request."""

    def body(self, data: bytes) -> None:
        """Take a piece of its body."""

    def trailer(self, name: bytes, value: bytes) -> None:
        """Take a field that came behind the body."""

    def end(self) -> None:
        """The request is complete."""


class RequestReader:
    """
    Reads one connection.

    `in_head` and `in_body` say what has begun and not ended; `is_final` that no request may follow
    the last one; `target` is the last target as far as it was read. `ahead` is None, or what
    came behind a request that asks for another protocol.
    """

    # For the compiler: what is let go by `del`, since it would hold a cycle together.
    __deletable__ = ("_parser", "_taker")
    __slots__ = (
        "_head_bytes",
        "_headers",
        "_is_first",
        "_parser",
        "_received",
        "_silent_bytes",
        "_start",
        "_taker",
        "_trailer_count",
        "ahead",
        "in_body",
        "in_head",
        "is_final",
        "limits",
        "target",
    )

    def __init__(self, limits: Limits, taker: Reading) -> None:
        self.limits = limits
        self._taker = taker
        self._parser = httptools.HttpRequestParser(self)
        self._headers: Headers = []
        self._head_bytes = 0
        self._received: bytes | bytearray = b""
        self._is_first = True
        self._start = 0
        self._silent_bytes = 0
        self._trailer_count = 0
        self.ahead: bytearray | None = None
        self.target = b""
        self.in_head = False
        self.in_body = False
        self.is_final = False

    @property
    def is_busy(self) -> bool:
        """Whether something has begun and not ended."""
        return self.in_head or self.in_body

    @property
    def may_skip(self) -> bool:
        """Whether a whole request may pass the parser by, which stands at the beginning of one."""
        return not (self.in_head or self.in_body or self.is_final)

    def feed(self, data: bytes) -> Problem | None:
        """Read `data`, and return why nothing more may be read, or None."""
        # Empty lines between two requests add up to nothing: a familiar request behind them is not read here.
        self._silent_bytes = self._silent_bytes + len(data) if self.is_busy else len(data)
        if self.in_head:
            self._received += data
        else:
            self._received = data
            self._is_first = not self.in_body
            self._start = UNKNOWN if self.in_body else 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            self.keep_ahead(data[switch.args[0] :])
            return Reason.MALFORMED_REQUEST, "the connection does not change its protocol"
        except httptools.HttpParserCallbackError as error:
            return _what_stopped(error.__context__)
        except httptools.HttpParserError as error:
            return Reason.MALFORMED_REQUEST, f"the request is not valid HTTP: {error}"
        if self.in_head:
            if not isinstance(self._received, bytearray):
                # Kept until the request line can be looked at; what is added copies no more than itself.
                self._received = bytearray(self._received)
            return self._check_progress()
        self._received = b""
        return self._check_progress() if self.in_body else None

    def keep_ahead(self, data: bytes) -> bool:
        """Keep what came behind a request for an upgrade, unread; True if no more should come."""
        if self.ahead is None:
            return False
        self.ahead += data
        return len(self.ahead) > MAX_AHEAD_BYTES

    def close(self) -> None:
        """Let go of the parser, which holds on to this reader and would keep both alive."""
        del self._parser
        del self._taker

    # The parser's events.

    def on_message_begin(self) -> None:
        """Begin a head."""
        if self._is_first:
            self._is_first = False
        elif self._start >= 0:
            self._start = next_start(self._received, self._start)
        self.in_head = True
        self._headers = []
        self._head_bytes = 0
        self.target = b""

    def on_url(self, target: bytes) -> None:
        """Take the request target, or a part of it."""
        self.target += target
        limit = self.limits.max_target_bytes
        if len(self.target) > limit:
            raise RequestRefused(Reason.TARGET_TOO_LONG, f"the limit is {limit} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header line, or one trailer."""
        if not self.in_head:
            self._take_trailer(name, value)
            return
        self._headers.append((name, value))
        self._count_line(len(name) + len(value) + 4, len(self._headers))

    def _take_trailer(self, name: bytes, value: bytes) -> None:
        """Hand on a trailer; together with the head it keeps the limits of a head."""
        self._trailer_count += 1
        self._count_line(len(name) + len(value) + 4, len(self._headers) + self._trailer_count)
        self._taker.trailer(name, value)

    def _count_line(self, size: int, count: int) -> None:
        limits = self.limits
        self._head_bytes += size
        if (
            self._head_bytes > limits.max_header_bytes
            or size > limits.max_header_line_bytes
            or count > limits.max_header_count
        ):
            raise RequestRefused(
                Reason.HEADERS_TOO_LARGE,
                f"the limits are {limits.max_header_bytes} bytes, {limits.max_header_line_bytes} of them for"
                f" each line, and {limits.max_header_count} lines",
            )

    def on_headers_complete(self) -> None:
        """Hand the head on."""
        parser, headers = self._parser, self._headers
        method, version = parser.get_method(), parser.get_http_version()
        if not is_plain(self._received, self._start, method, self.target, version):
            raise RequestRefused(
                Reason.MALFORMED_REQUEST, "the request line has to be `method target HTTP/1.1`"
            )
        is_upgrade = parser.should_upgrade()
        if is_upgrade and _announces_body(headers):
            # llhttp takes the body for the other protocol. Passed on without it, the announced length
            # would make the upstream read the next request on its connection as this one's body.
            raise RequestRefused(Reason.AMBIGUOUS_FRAMING, "a request with a body cannot ask for an upgrade")
        keep_alive = parser.should_keep_alive() and not is_upgrade
        if keep_alive and version == "1.0" and _says_close(headers):
            # llhttp would read on, where RFC 9112 section 9.3 lets `close` decide and the client may stop.
            raise RequestRefused(Reason.MALFORMED_REQUEST, "say either `close` or `keep-alive`")
        if self._blanks() > SLACK_BYTES:
            raise RequestRefused(Reason.HEADERS_TOO_LARGE, "there are too many blanks around header values")
        self.in_head = False
        self.in_body = True
        self._silent_bytes = 0
        if is_upgrade and version != "1.0":  # RFC 9110 section 7.8: in HTTP/1.0 it is ignored
            self.ahead = bytearray()
        self.is_final = not keep_alive
        self._taker.head(method.decode("ascii"), self.target, version, headers, keep_alive)

    def _blanks(self) -> int:
        """Return how many bytes of the header lines the parser left out, which no limit has counted yet."""
        if self._start < 0:
            return 0
        lines_at = self._received.find(b"\r\n", self._start)
        return self._received.find(b"\r\n\r\n", lines_at) - lines_at - self._head_bytes

    def on_chunk_header(self) -> None:
        """Note that a body is there, if only an empty one."""
        self._start = UNKNOWN
        self._trailer_count = 0

    def on_body(self, data: bytes) -> None:
        """Hand a piece of the body on."""
        self._start = UNKNOWN
        self._silent_bytes = 0
        self._taker.body(data)

    def on_message_complete(self) -> None:
        """Note the end of the request."""
        self.in_body = False
        self._taker.end()

    def _check_progress(self) -> Problem | None:
        # The parser gathers a header line or a trailer until it ends, and skips chunk extensions; one
        # that never ends would fill the memory.
        limits = self.limits
        allowed = limits.max_header_bytes + SLACK_BYTES
        if self.in_head:
            allowed += limits.max_target_bytes
        if self._silent_bytes > allowed:
            return Reason.HEADERS_TOO_LARGE, f"the limit is {limits.max_header_bytes} bytes"
        return None


def _what_stopped(cause: BaseException | None) -> Problem:
    if isinstance(cause, RequestRefused):
        return cause.reason, cause.detail
    log.error("reading a request failed", exc_info=cause)
    return Reason.INTERNAL_ERROR, ""


def _says_close(headers: Headers) -> bool:
    values = [value.lower() for name, value in headers if name.lower() == b"connection"]
    return any(token.strip(b" \t") == b"close" for token in b",".join(values).split(b","))


def _announces_body(headers: Headers) -> bool:
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"transfer-encoding" or (lowered == b"content-length" and value.strip(b"0 \t")):
            return True
    return False
