"""
A response on its whole way, without sockets: the upstream's bytes in, what our client reads out.

h11 reads what we write. Whatever the upstream sent, it is one response and the one that we meant, or it is
broken off where every client can tell.
"""

import h11

from proxy.forward.connection import UpstreamConnection
from proxy.forward.pool import Pool
from proxy.interfaces import Client, Taker
from proxy.model.decision import Reason
from proxy.reply import Reply
from proxy.tasks import TaskOwner
from proxy.wire.framing import Framing
from tests.fuzz.answers import ENDPOINT, UPSTREAM, Receiving
from tests.fuzz.readings import comparable
from tests.fuzz.wires import Wire
from tests.kit.clock import Clock

OURS = {b"x-request-id", b"content-length", b"transfer-encoding", b"connection"}


class Relaying(Receiving):
    """Passes a response on as an exchange does, and writes it down."""

    def __init__(self, method: str, version: str, client: Client) -> None:
        super().__init__(method)
        self.reply = Reply(client)
        self.reply.expect(version, keep_alive=True)

    def interim_response(self, status: int, phrase: bytes, lines: list[bytes]) -> None:
        super().interim_response(status, phrase, lines)
        self.reply.interim(status, phrase, lines)

    def response_head(
        self, status: int, phrase: bytes, lines: list[bytes], framing: Framing, content_length: int | None
    ) -> None:
        super().response_head(status, phrase, lines, framing, content_length)
        self.reply.head(status, phrase, lines, framing, content_length, "0123")

    def response_body(self, data: bytes) -> None:
        super().response_body(data)
        self.reply.body(data)

    def response_trailer(self, name: bytes, value: bytes) -> None:
        super().response_trailer(name, value)
        self.reply.trailer(name, value)

    def response_flush(self) -> None:
        self.reply.flush()

    def response_end(self) -> None:
        super().response_end()
        self.reply.end()

    def response_failed(self, reason: Reason) -> None:
        super().response_failed(reason)
        if not self.reply.has_begun:
            self.answer.status = self.reply.refuse(
                reason, "0123", "", keep_alive=True, method_is_head=self.method == "HEAD", has_credential=True
            )


class Written(Wire):
    """The client's side: all that was written to it."""

    is_blocked = False
    asks_to_switch = False

    def hand_over(self, taker: Taker) -> None:
        raise AssertionError("nobody asked to switch")

    def pause_request(self) -> None: ...

    def resume_request(self) -> None: ...

    def reset_unless_finished(self) -> None: ...

    def finish(self, *, keep_alive: bool) -> None: ...


def assert_one_response(method: str, version: str, data: bytes) -> None:
    """Raise `AssertionError` if h11 reads anything but our one answer in what we make of `data`."""
    client, wire = Written(), Wire()
    pool = Pool(UPSTREAM, ENDPOINT, TaskOwner(), Clock())
    receiver, connection = Relaying(method, version, client), UpstreamConnection(pool)
    connection.connection_made(wire)
    connection.start(receiver)
    connection.end_request()
    middle = len(data) // 2
    wire.feed(connection, [data[:middle], data[middle:]])
    if not wire.is_closing():
        connection.eof_received()
        connection.connection_lost(None)
    _assert_reads_as(method, version, receiver, bytes(client.written), data)


def _assert_reads_as(method: str, version: str, receiver: Relaying, written: bytes, data: bytes) -> None:
    answer, reply = receiver.answer, receiver.reply
    shown = f"{answer}\n{written!r}\n{data!r}"
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(written)
    if answer.end == "failed" and reply.has_begun:
        # The connection is reset here: it may not look complete before that.
        assert not any(isinstance(event, h11.EndOfMessage) for event in _events(connection)), shown
        return
    if version == "1.0" and answer.framing in (Framing.CHUNKED, Framing.UNTIL_CLOSE):
        connection.receive_data(b"")
    events = _events(connection)
    interim = [event.status_code for event in events if isinstance(event, h11.InformationalResponse)]
    assert interim == (answer.interim if version == "1.1" else []), shown
    (final,) = (event for event in events if isinstance(event, h11.Response))
    assert final.status_code == answer.status, shown
    assert isinstance(events[-1], h11.EndOfMessage), shown
    trailers = answer.trailers if version == "1.1" and answer.end == "complete" else []
    assert comparable(list(events[-1].headers)) == comparable(trailers), shown
    assert connection.trailing_data[0] == b"", shown
    if answer.end == "failed":
        return  # what h11 read is our refusal
    assert b"".join(event.data for event in events if isinstance(event, h11.Data)) == answer.body, shown
    theirs = [line for line in comparable(list(final.headers)) if line[0] not in OURS]
    assert theirs == [line for line in comparable(answer.headers) if line[0] not in OURS], shown
    assert [name for name, _ in final.headers].count(b"x-request-id") == 1, shown


def _events(connection: h11.Connection) -> list[h11.Event]:
    events: list[h11.Event] = []
    while not (events and isinstance(events[-1], h11.EndOfMessage)):
        event = connection.next_event()
        if not isinstance(event, h11.Event):
            break
        events.append(event)
    return events
