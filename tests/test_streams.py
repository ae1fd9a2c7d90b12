"""Open streams: counted, found by identity, and ended in time."""

from collections.abc import Callable

import pytest

from proxy.model.decision import Reason
from proxy.streams import NEVER, Stream, Streams
from proxy.tunnel import Tunnel

IDLE_S = 10.0


def a_stream(
    streams: Streams, route: str = "api", ends_at: float = NEVER
) -> tuple[Stream, list[Reason], Callable[[], None]]:
    """Add a stream; return it with the reasons for its end, and what closes its connections."""
    reasons: list[Reason] = []
    tunnel = Tunnel(reasons.append, IDLE_S, 0.0)

    def lose() -> None:
        for side in (tunnel.client, tunnel.upstream):
            side.has_ended = True
            side.connection_lost(None)

    stream = Stream(tunnel, route, None, ends_at)
    streams.add(stream)
    return stream, reasons, lose


def test_a_stream_is_kept_until_both_connections_are_closed() -> None:
    streams = Streams()
    _, reasons, lose = a_stream(streams)
    a_stream(streams, "other")
    assert len(streams) == 2
    lose()
    assert (len(streams), reasons) == (1, [Reason.COMPLETED])
    streams.sweep(1.0)
    assert len(streams._open) == 1
    assert repr(streams) == "<Streams [1 open]>"


def test_a_stream_does_not_outlive_its_token() -> None:
    streams = Streams()
    _, reasons, lose = a_stream(streams, ends_at=5.0)
    streams.sweep(4.9)
    assert reasons == []
    streams.sweep(5.0)
    streams.sweep(5.1)
    assert reasons == [Reason.TOKEN_EXPIRED]
    lose()
    streams.sweep(5.2)
    assert len(streams._open) == 0


def test_a_stream_whose_end_fails_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    def fail(reason: Reason) -> None:
        raise RuntimeError(reason)

    streams = Streams()
    streams.add(Stream(Tunnel(fail, IDLE_S, 0.0), "api", None, 5.0))
    others = [a_stream(streams, ends_at=5.0)[1] for _ in range(8)]
    streams.sweep(5.0)
    assert others == [[Reason.TOKEN_EXPIRED]] * 8
    assert "did not end in order" in caplog.text


def test_a_connection_of_a_tunnel_is_given_back_also_if_its_end_fails() -> None:
    def fail(reason: Reason) -> None:
        raise RuntimeError(reason)

    lost: list[Exception | None] = []
    tunnel = Tunnel(fail, IDLE_S, 0.0)
    tunnel.client._on_lost = lost.append
    with pytest.raises(RuntimeError):
        tunnel.client.connection_lost(None)
    assert lost == [None]


def test_a_stream_that_stands_still_is_ended() -> None:
    streams = Streams()
    _, reasons, _ = a_stream(streams)
    streams.sweep(IDLE_S - 0.1)
    assert reasons == []
    streams.sweep(IDLE_S)
    assert reasons == [Reason.STREAM_IDLE]


def test_news_of_an_identity_ends_its_streams_and_no_other() -> None:
    streams = Streams()
    mine, ended, _ = a_stream(streams)
    _, others, _ = a_stream(streams)
    assert streams.end(lambda stream: stream is mine, Reason.TOKEN_EXPIRED) == 1
    assert (ended, others) == ([Reason.TOKEN_EXPIRED], [])
    assert repr(mine) == "<Stream api <Tunnel 0 bytes up, 0 bytes down>>"
