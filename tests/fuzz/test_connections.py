"""A client connection tells its exchanges the same, and answers the same, in whatever pieces bytes come."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.accept.client import ClientConnection
from proxy.accept.listener import Listener
from proxy.model.decision import Reason
from tests.accept.exchanges import Exchanges
from tests.fuzz.budget import examples
from tests.fuzz.bytes_of import pieces_of
from tests.fuzz.readings import LIMITS
from tests.fuzz.requests import REQUESTS
from tests.fuzz.wires import Wire
from tests.kit.clock import Clock


def told(*pieces: bytes) -> tuple[list[list[object]], bytes, bool]:
    """Return what each exchange was told, what was written, and whether the connection ended."""
    exchanges, wire = Exchanges(), Wire()
    connection = ClientConnection(Listener(exchanges, LIMITS, Clock()))
    connection.connection_made(wire)
    wire.feed(connection, pieces)
    events = [_joined(one.events) for one in exchanges.all]
    has_ended = wire.has_ended or wire.is_closing()
    connection.connection_lost(None)
    return events, bytes(wire.written), has_ended


def _joined(events: list[object]) -> list[object]:
    joined: list[object] = []
    for event in events:
        if isinstance(event, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] += event
        elif isinstance(event, tuple) and isinstance(event[0], Reason):
            joined.append(event[0])  # the target of what cannot be read is told as far as it was read
        else:
            joined.append(event)
    return joined


@examples(250)
@given(REQUESTS, st.data())
def test_exchanges_are_told_the_same_in_any_pieces(data: bytes, draw: st.DataObject) -> None:
    pieces = draw.draw(pieces_of(data))
    assert told(data) == told(*pieces), pieces


PIPELINE = (
    b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    b"PUT /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nde\r\n0\r\nX-T: v\r\n\r\n"
    b"\r\nGET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
)


def test_a_pipeline_is_the_same_split_at_every_boundary() -> None:
    whole = told(PIPELINE)
    assert [events[-1] for events in whole[0]] == ["end"] * 4
    for place in range(len(PIPELINE) + 1):
        assert told(PIPELINE[:place], PIPELINE[place:]) == whole, place
    assert told(*[PIPELINE[at : at + 1] for at in range(len(PIPELINE))]) == whole
