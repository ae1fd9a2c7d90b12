"""The same response read by us and by h11, in words in which the two can be compared."""

from dataclasses import dataclass, field

import h11

from proxy.forward.connection import UpstreamConnection
from proxy.forward.interfaces import Outbound
from proxy.forward.pool import Pool
from proxy.model.decision import Reason
from proxy.model.request import Headers
from proxy.model.upstream import Endpoint, Timeouts, Upstream
from proxy.tasks import TaskOwner
from proxy.wire.framing import Framing
from tests.fuzz.wires import Wire
from tests.kit.clock import Clock

ENDPOINT = Endpoint(host="192.0.2.9", port=80)
UPSTREAM = Upstream(
    name="up",
    endpoints=(ENDPOINT,),
    max_connections=1,
    max_waiting=1,
    connect_timeout_s=1,
    wait_timeout_s=1,
    timeouts=Timeouts(response_s=1, body_idle_s=1),
    keep_alive_s=1,
)


@dataclass
class Answer:
    """
    One response as it was read.

    `end` is `complete`, `failed`, or empty as long as more is waited for; `is_reused` says that the
    connection would carry another request.
    """

    status: int = 0
    phrase: bytes = b""
    headers: Headers = field(default_factory=list)
    interim: list[int] = field(default_factory=list)
    body: bytes = b""
    trailers: Headers = field(default_factory=list)
    end: str = ""
    framing: Framing | None = None
    is_reused: bool = False


class Receiving:
    """Writes down what comes; `events` are the callbacks, with the pieces of the body joined."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.answer = Answer()
        self.upstream_address = ""
        self.failed_addresses: tuple[str, ...] = ()
        self.affinity = b""
        self.is_replayable = False

    def take(self, outbound: Outbound) -> None: ...

    def take_back(self) -> None: ...

    def interim_response(self, status: int, phrase: bytes, lines: list[bytes]) -> None:
        assert self.answer.status == 0
        self.answer.interim.append(status)

    def response_head(
        self, status: int, phrase: bytes, lines: list[bytes], framing: Framing, content_length: int | None
    ) -> None:
        answer = self.answer
        assert (answer.status, answer.end) == (0, "")
        answer.status, answer.phrase, answer.framing = status, phrase, framing
        written = b"".join(lines).split(b"\r\n")
        answer.headers = [
            (name, value) for name, _, value in (line.partition(b": ") for line in written[:-1])
        ]
        assert framing is not Framing.LENGTH or content_length

    def response_body(self, data: bytes) -> None:
        assert self.answer.status
        assert self.answer.end == ""
        assert data
        self.answer.body += data

    def response_trailer(self, name: bytes, value: bytes) -> None:
        assert self.answer.framing is Framing.CHUNKED
        assert self.answer.end == ""
        self.answer.trailers.append((name, value))

    def response_switch(
        self, phrase: bytes, lines: list[bytes], named: list[bytes], outbound: Outbound
    ) -> bool:
        raise AssertionError("nobody asked to switch")

    def response_flush(self) -> None: ...

    def response_end(self) -> None:
        assert self.answer.status
        assert self.answer.end == ""
        self.answer.end = "complete"

    def response_failed(self, reason: Reason) -> None:
        assert self.answer.end == ""
        assert reason in (Reason.UPSTREAM_MALFORMED, Reason.UPSTREAM_RESET), reason
        self.answer.end = "failed"

    def upstream_writable(self) -> None: ...

    def upstream_blocked(self) -> None: ...


def answer_read_by_us(method: str, *pieces: bytes, is_closed: bool = False) -> Answer:
    """Return the response to a `method` request in `pieces`, after which the upstream may close."""
    pool = Pool(UPSTREAM, ENDPOINT, TaskOwner(), Clock())
    connection, wire, receiver = UpstreamConnection(pool), Wire(), Receiving(method)
    connection.connection_made(wire)
    connection.start(receiver)
    connection.end_request()
    wire.feed(connection, pieces)
    receiver.answer.is_reused = pool.idle_count == 1
    if is_closed and not wire.is_closing():
        connection.eof_received()
        connection.connection_lost(None)
        receiver.answer.is_reused = False
    return receiver.answer


def answer_read_by_h11(method: str, data: bytes, *, is_closed: bool = False) -> tuple[Answer, str]:
    """Return the response as h11 reads it, and why it could not; empty if it could."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=10**6)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    answer = Answer()
    if data:
        connection.receive_data(data)
    if is_closed:
        connection.receive_data(b"")
    try:
        while answer.end == "":
            event = connection.next_event()
            if isinstance(event, h11.InformationalResponse):
                answer.interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                answer.status, answer.phrase = event.status_code, event.reason
                answer.headers = [(name, value) for name, value in event.headers]
            elif isinstance(event, h11.Data):
                answer.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                answer.end = "complete"
            else:
                break
    except h11.RemoteProtocolError as error:
        answer.end = "failed"
        return answer, str(error)
    is_reused = connection.their_state is h11.DONE and connection.our_state is h11.DONE
    # Empty lines behind a response are nobody's message.
    answer.is_reused = is_reused and not connection.trailing_data[0].strip(b"\r\n")
    return answer, ""
