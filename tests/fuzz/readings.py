"""The same bytes read by us and by h11, in words in which the two can be compared."""

from dataclasses import dataclass, field, replace
from ipaddress import ip_network

import h11

from proxy.accept.limits import Limits
from proxy.accept.reading import Problem, RequestReader
from proxy.errors import RequestError
from proxy.model.peer import Peer
from proxy.model.request import Headers, Request
from proxy.wire.headers import RequestHeaders
from proxy.wire.reading import HeaderBlock, read_request
from proxy.wire.refusal import REFUSALS

LIMITS = Limits(
    max_connections=10,
    max_header_bytes=8192,
    max_header_count=64,
    max_target_bytes=1024,
    headers_timeout_s=1,
    body_idle_timeout_s=1,
    keep_alive_timeout_s=1,
    write_idle_timeout_s=1,
)
SMALL_LIMITS = replace(LIMITS, max_header_bytes=256, max_header_count=8, max_target_bytes=64)
RULES = RequestHeaders((b"X-Rolegate-Subject",))
PEER = Peer(address="192.0.2.7")
TRUSTED = (ip_network("10.0.0.0/8"),)


@dataclass
class Message:
    """One request as it was read; `is_last` says that the reader wants no other behind it."""

    method: str
    target: bytes
    version: str
    headers: Headers
    body: bytes = b""
    is_complete: bool = False
    is_last: bool = False


@dataclass
class Notes:
    """Writes down what the reader tells."""

    messages: list[Message] = field(default_factory=list)

    def head(self, method: str, target: bytes, version: str, headers: Headers, keep_alive: bool) -> None:
        self.messages.append(Message(method, target, version, list(headers), is_last=not keep_alive))

    def body(self, data: bytes) -> None:
        assert data
        assert not self.messages[-1].is_complete
        self.messages[-1].body += data

    def trailer(self, name: bytes, value: bytes) -> None:
        assert not self.messages[-1].is_complete

    def end(self) -> None:
        assert not self.messages[-1].is_complete
        self.messages[-1].is_complete = True


def reader_for(notes: Notes, limits: Limits = LIMITS) -> RequestReader:
    """Return a reader that tells `notes`."""
    return RequestReader(limits, notes)


def read_by_us(*pieces: bytes, limits: Limits = LIMITS) -> tuple[list[Message], Problem | None]:
    """Return the requests in `pieces`, and what stopped the reading."""
    notes = Notes()
    reader = reader_for(notes, limits)
    problem = None
    for piece in pieces:
        if piece:
            problem = reader.feed(piece)
        if problem is not None:
            break
    reader.close()
    return notes.messages, problem


def head_of(message: Message, rules: RequestHeaders = RULES) -> tuple[Request, HeaderBlock]:
    """Return the request that we make of it and what its lines say, or raise `RequestError`."""
    block = HeaderBlock(message.version, message.headers, rules, PEER, TRUSTED)
    return read_request(message.method, message.target, block), block


def refusal_of(message: Message) -> RequestError | None:
    """Return why this request is refused by its head alone, or None."""
    try:
        head_of(message)
    except RequestError as error:
        return error
    return None


def is_end(error: RequestError) -> bool:
    """Say whether this refusal ends the connection, so that nothing behind it is read."""
    return REFUSALS[error.reason].ends_connection


def read_by_h11(data: bytes) -> tuple[list[Message], str]:
    """Return the requests in `data` as h11 reads them, and what stopped it: empty if nothing did."""
    messages: list[Message] = []
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=10**6)
    connection.receive_data(_without_empty_lines(data))
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                messages.append(_message(event))
            elif isinstance(event, h11.Data):
                messages[-1].body += event.data
            elif isinstance(event, h11.EndOfMessage):
                messages[-1].is_complete = True
                connection = _next(connection, messages)
            else:
                return messages, ""
    except _NoMoreError:
        return messages, ""
    except h11.RemoteProtocolError as error:
        return messages, str(error)


class _NoMoreError(Exception):
    """The connection carries no other request."""


def _next(connection: h11.Connection, messages: list[Message]) -> h11.Connection:
    """Return a connection that reads what comes behind the request that has just ended."""
    is_over = connection.their_state is h11.MUST_CLOSE and not _stays_open(messages[-1])
    messages[-1].is_last = is_over
    left = connection.trailing_data[0]
    if is_over:
        raise _NoMoreError
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=10**6)
    connection.receive_data(_without_empty_lines(left))
    return connection


def _stays_open(message: Message) -> bool:
    """Say whether this is HTTP/1.0 that asks for another one, which h11 does not know."""
    values = [value.lower() for name, value in message.headers if name == b"connection"]
    options = {token.strip(b" \t") for token in b",".join(values).split(b",")}
    return message.version == "1.0" and b"keep-alive" in options and b"close" not in options


def _without_empty_lines(data: bytes) -> bytes:
    # RFC 9112 section 2.2 lets a server skip empty lines before a request; h11 does not.
    return data.lstrip(b"\r\n")


def _message(event: h11.Request) -> Message:
    version = event.http_version.decode()
    return Message(
        event.method.decode(), event.target, version, [(name, value) for name, value in event.headers]
    )


def comparable(headers: Headers) -> Headers:
    """Return header lines in the one spelling in which the two readings are compared."""
    return [(name.lower(), _comparable_value(name.lower(), value.strip(b" \t"))) for name, value in headers]


def _comparable_value(name: bytes, value: bytes) -> bytes:
    return value.lower() if name == b"transfer-encoding" else value
