"""The response on its way: framed for the client, and never complete when it was not."""

import pytest

from proxy.interfaces import Taker
from proxy.model.decision import Reason
from proxy.reply import Reply
from proxy.wire.framing import Framing


class Sink:
    """A client that keeps what it is sent."""

    is_blocked = False
    asks_to_switch = False

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.must_finish_behind: int | None = None

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def pause_request(self) -> None: ...

    def resume_request(self) -> None: ...

    def reset_unless_finished(self) -> None:
        self.must_finish_behind = len(self.sent)

    def finish(self, *, keep_alive: bool) -> None: ...

    def hand_over(self, taker: Taker) -> None: ...

    def abort(self) -> None: ...


def a_reply(version: str = "1.1", *, keep_alive: bool = True) -> tuple[Reply, Sink]:
    sink = Sink()
    reply = Reply(sink)
    reply.expect(version, keep_alive=keep_alive)
    return reply, sink


def test_what_comes_together_is_one_write() -> None:
    reply, sink = a_reply()
    reply.head(200, b"OK", [b"A", b": ", b"b", b"\r\n"], Framing.LENGTH, 4, "id")
    reply.body(b"ab")
    assert (sink.sent, reply.has_begun) == ([], False)
    reply.flush()
    reply.flush()
    assert reply.has_begun
    reply.body(b"cd")
    reply.end()
    head = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 4\r\nX-Request-Id: id\r\n\r\n"
    assert sink.sent == [head + b"ab", b"cd"]


@pytest.mark.parametrize("framing", [Framing.CHUNKED, Framing.UNTIL_CLOSE])
def test_a_body_without_a_length_is_chunked_or_closed(framing: Framing) -> None:
    reply, sink = a_reply()
    reply.head(200, b"OK", [], framing, None, "id")
    reply.body(b"ab")
    reply.end()
    assert sink.sent[0].endswith(b"\r\n\r\n2\r\nab\r\n0\r\n\r\n")
    assert reply.keep_alive
    assert sink.must_finish_behind is None
    old, sink = a_reply("1.0")
    old.head(200, b"OK", [], framing, None, "id")
    old.body(b"ab")
    old.end()
    assert sink.sent[0].endswith(b"Connection: close\r\nX-Request-Id: id\r\n\r\nab")
    assert not old.keep_alive
    assert sink.must_finish_behind == 0


def test_an_interim_response_is_not_the_begin_of_the_final_one() -> None:
    reply, sink = a_reply()
    reply.interim(103, b"Early Hints", [b"Link", b": ", b"</a>", b"\r\n"])
    assert sink.sent == [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]
    assert not reply.has_begun
    old, sink = a_reply("1.0")
    old.interim(103, b"Early Hints", [])
    assert sink.sent == []


def refuse(reply: Reply, reason: Reason, *, keep_alive: bool = True) -> int:
    return reply.refuse(reason, "id", "", keep_alive=keep_alive, method_is_head=False, has_credential=False)


def test_a_refusal_takes_the_place_of_what_was_not_sent() -> None:
    reply, sink = a_reply()
    reply.head(200, b"OK", [], Framing.LENGTH, 4, "id")
    reply.body(b"ab")
    assert refuse(reply, Reason.UPSTREAM_RESET) == 502
    reply.flush()
    assert len(sink.sent) == 1
    assert sink.sent[0].startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize(
    ("reason", "asked", "stays"),
    [
        (Reason.NO_ROUTE, True, True),
        (Reason.NO_ROUTE, False, False),
        (Reason.AMBIGUOUS_FRAMING, True, False),
        (Reason.INTERNAL_ERROR, True, False),
    ],
)
def test_what_the_refusal_says_of_the_connection_is_what_happens(
    reason: Reason, asked: bool, stays: bool
) -> None:
    reply, sink = a_reply()
    refuse(reply, reason, keep_alive=asked)
    assert reply.keep_alive is stays
    assert (b"Connection: close" in sink.sent[0]) is not stays
