"""A client connection tells its exchanges the same, and answers the same, in whatever pieces bytes come."""

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy.accept.client import ClientConnection
from proxy.accept.interfaces import Connection, Exchange
from proxy.accept.listener import Listener
from proxy.errors import RequestError
from proxy.model.decision import Reason
from proxy.model.peer import Peer
from proxy.model.request import Headers
from proxy.wire.reading import HeaderBlock
from tests.accept.exchanges import Exchanges, Told
from tests.fuzz.budget import examples
from tests.fuzz.bytes_of import LINE_END, damaged, mostly, pieces_of
from tests.fuzz.readings import LIMITS, PEER, RULES, TRUSTED
from tests.fuzz.requests import EMPTY_LINES, METHOD, REQUEST, REQUESTS, SPACE, TARGET, VERSION
from tests.fuzz.wires import Wire
from tests.kit.clock import Clock


def told(*pieces: bytes) -> tuple[list[list[object]], bytes, bool]:
    """Return what each exchange was told, what was written, and whether the connection ended."""
    return _told(Exchanges(), pieces)


def _told(exchanges: Exchanges, pieces: Iterable[bytes]) -> tuple[list[list[object]], bytes, bool]:
    wire = Wire()
    connection = ClientConnection(Listener(exchanges, LIMITS, Clock()), lambda transport: PEER)
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


class Remembering(Told):
    """Says, as an exchange of ours does, when header lines can serve a later request."""

    def begin(
        self,
        method: str,
        target: bytes,
        version: str,
        headers: Headers,
        *,
        keep_alive: bool,
        familiar: HeaderBlock | None = None,
    ) -> HeaderBlock | None:
        self.events.append((version, list(headers)))
        super().begin(method, target, version, headers, keep_alive=keep_alive, familiar=familiar)
        try:
            block = HeaderBlock(version, headers, RULES, PEER, TRUSTED)
        except RequestError:
            return None
        is_plain = keep_alive and block.announces_nothing and version == "1.1"
        return block if is_plain else None


class RememberingExchanges(Exchanges):
    """Makes exchanges that remember, or do not."""

    def __init__(self, *, remembers: bool) -> None:
        super().__init__()
        self.remembers = remembers

    def open(self, client: Connection, peer: Peer) -> Exchange:
        self.all.append((Remembering if self.remembers else Forgetting)(client, self))
        return self.all[-1]


class Forgetting(Remembering):
    """Has every request read by the parser."""

    def begin(self, *arguments: Any, **options: Any) -> None:  # Any: passed on as they are
        super().begin(*arguments, **options)


LINES = b"Host: a.example\r\nAccept: */*\r\n\r\n"
SAME_LINES = st.tuples(EMPTY_LINES, METHOD, SPACE, TARGET, SPACE, VERSION, LINE_END, st.just(LINES)).map(
    b"".join
)


@examples(200)
@given(st.lists(mostly(damaged(SAME_LINES), REQUEST, one_in=8), min_size=1, max_size=5))
def test_header_lines_that_come_again_mean_the_same_to_the_parser(requests: list[bytes]) -> None:
    pieces = [b"GET / HTTP/1.1\r\n" + LINES, *requests]
    assert _told(RememberingExchanges(remembers=True), pieces) == _told(
        RememberingExchanges(remembers=False), pieces
    )


def test_nothing_follows_a_last_request_be_it_ever_so_familiar() -> None:
    """The exchange closes there; should it not, the reader still does not read on."""
    pieces = [b"GET / HTTP/1.%d\r\n" % minor + LINES for minor in (1, 0, 1)]
    assert len(_told(RememberingExchanges(remembers=True), pieces)[0]) == 2


def test_the_lines_are_recognised_at_all() -> None:
    exchanges = RememberingExchanges(remembers=True)
    _told(exchanges, [b"GET / HTTP/1.1\r\n" + LINES] * 2)
    assert [one.familiar is None for one in exchanges.all] == [True, False]


def test_empty_lines_between_familiar_requests_do_not_add_up() -> None:
    """Some clients send one behind each request; the parser has forgotten them when the next one has come."""
    request = b"GET / HTTP/1.1\r\n" + LINES
    pieces = [request, b"\r\n"] * (LIMITS.max_header_bytes + LIMITS.max_target_bytes)
    pieces += [request[:9], request[9:]]
    short, long = (_told(RememberingExchanges(remembers=remembers), pieces) for remembers in (True, False))
    assert short == long
    assert short[0][-1][-1] == "end"


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
