"""One upstream connection: what makes it fit for the next request, and what does not."""

import asyncio

import pytest

from proxy.model.decision import Reason
from tests.forward.test_pool import Receiving, a_pool, silent
from tests.kit.clock import Clock
from tests.kit.local_proxy import until
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream, answering

ON_BOTH_LOOPS = True


class Asking(Receiving):
    """Sends any method."""

    def __init__(self, method: str = "GET", *, ends: bool = True) -> None:
        super().__init__(ends=ends)
        self.method = method


REUSED = {
    "a length": ("GET", OK, True),
    "chunks": ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", True),
    "204": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", True),
    "304 with a length": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", True),
    "HEAD with a length": ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", True),
    "an interim response before": ("GET", b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, True),
    "HTTP/1.0 with keep-alive": (
        "GET",
        OK.replace(b"1.1", b"1.0").replace(b"OK\r", b"OK\r\nConnection: keep-alive\r"),
        True,
    ),
    "HTTP/1.0 with keep-alive and close": (
        "GET",
        OK.replace(b"1.1", b"1.0").replace(b"OK\r", b"OK\r\nConnection: keep-alive\r\nConnection: Close\r"),
        False,
    ),
    "HTTP/1.0 with both, and a HEAD": (
        "HEAD",
        OK.replace(b"1.1", b"1.0").replace(b"OK\r", b"OK\r\nConnection: keep-alive, close\r"),
        False,
    ),
    "HTTP/1.0": ("GET", OK.replace(b"1.1", b"1.0"), False),
    "Connection: close": ("GET", OK.replace(b"OK\r", b"OK\r\nConnection: close\r"), False),
    "a byte too many": ("GET", OK + b"!", False),
    "204 that announces a body": ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", False),
    "204 that announces chunks": ("GET", b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", False),
    "204 with a length of 0": ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", True),
    "HEAD with a body": ("HEAD", OK, False),
    "HEAD in chunks": ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", True),
    "HEAD with an empty body": (
        "HEAD",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        False,
    ),
    "HEAD with half a chunk size": (
        "HEAD",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1",
        False,
    ),
}


@pytest.mark.parametrize(("method", "answer", "is_reused"), REUSED.values(), ids=REUSED.keys())
async def test_a_connection_is_used_again_only_if_both_messages_ended(
    method: str, answer: bytes, is_reused: bool
) -> None:
    async with RecordingUpstream(answering(lambda _: answer)) as upstream, a_pool(upstream.port) as pool:
        for _ in range(2):
            receiver = Asking(method)
            pool.acquire(receiver)
            await until(lambda one=receiver: one.is_over, what="the response")  # type: ignore[misc]  # mypy does not type default arguments of lambdas
            assert receiver.failure is None
        assert len(upstream.connections) == (1 if is_reused else 2)
        assert (pool.busy_count, pool.idle_count) == (0, int(is_reused))


REFUSED = {
    "chunks with a tab": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
    "a NUL in the phrase": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
    "an escape in the phrase": b"HTTP/1.1 200 \x1b[2J\r\nContent-Length: 0\r\n\r\n",
    "an interim response with a length": b"HTTP/1.1 103 Early\r\nContent-Length: 3\r\n\r\n" + OK,
    "an interim response in chunks": b"HTTP/1.1 103 Early\r\nTransfer-Encoding: chunked\r\n\r\n" + OK,
    "304 in an unknown coding": b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
}


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED.keys())
async def test_what_h11_would_not_read_is_not_passed_on(answer: bytes) -> None:
    async with RecordingUpstream(answering(lambda _: answer)) as upstream, a_pool(upstream.port) as pool:
        receiver = Asking()
        pool.acquire(receiver)
        await until(lambda: receiver.is_over, what="the end")
        assert (receiver.status, receiver.failure) == (0, Reason.UPSTREAM_MALFORMED)
        assert pool.idle_count == 0


async def test_a_connection_whose_request_did_not_end_is_not_used_again() -> None:
    async with RecordingUpstream() as upstream, a_pool(upstream.port) as pool:
        receiver = Asking(ends=False)
        pool.acquire(receiver)
        await until(lambda: receiver.has_ended, what="the response")
        assert (pool.busy_count, pool.idle_count) == (0, 0)
        await until(lambda: upstream.open_count == 0, what="the end of the connection")


async def test_a_connection_that_was_held_back_is_not_used_again() -> None:
    """Nobody would let it go on for the next request."""

    class Slow(Asking):
        def interim_response(self, status: int, phrase: bytes, lines: list[bytes]) -> None:
            assert self.outbound is not None
            self.outbound.pause()

    answer = b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK
    async with RecordingUpstream(answering(lambda _: answer)) as upstream, a_pool(upstream.port) as pool:
        receiver = Slow()
        pool.acquire(receiver)
        await until(lambda: receiver.has_ended, what="the response")
        assert pool.idle_count == 0


async def test_nothing_comes_after_an_abort() -> None:
    async with RecordingUpstream(silent) as upstream, a_pool(upstream.port) as pool:
        receiver = Asking()
        pool.acquire(receiver)
        await until(lambda: receiver.outbound is not None, what="the connection")
        assert receiver.outbound is not None
        receiver.outbound.abort()
        await until(lambda: upstream.open_count == 0, what="the end of the connection")
        assert (receiver.status, receiver.is_over) == (0, False)
        assert (pool.busy_count, pool.idle_count) == (0, 0)
        receiver.outbound.send(b"late")
        receiver.outbound.pause()
        receiver.outbound.resume()
        assert b"late" not in upstream.received


async def test_who_waits_for_a_response_has_a_deadline_in_every_state() -> None:
    async def half(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(OK[:-1])
        await asyncio.sleep(30)

    clock = Clock()
    async with RecordingUpstream(half) as upstream, a_pool(upstream.port, clock) as pool:
        receiver = Asking()
        pool.sweep(clock())
        pool.acquire(receiver)
        await until(lambda: receiver.status == 200, what="the head")
        clock.advance(0.9)
        pool.sweep(clock())
        assert not receiver.is_over
        clock.advance(0.2)
        pool.sweep(clock())
        assert receiver.failure is Reason.UPSTREAM_TIMEOUT


async def test_a_response_that_is_held_back_has_the_clients_deadline() -> None:
    async def half(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(OK[:-1])
        await asyncio.sleep(30)

    clock = Clock()
    async with RecordingUpstream(half) as upstream, a_pool(upstream.port, clock) as pool:
        receiver = Asking()
        pool.acquire(receiver)
        await until(lambda: receiver.status == 200, what="the head")
        assert receiver.outbound is not None
        receiver.outbound.pause()
        clock.advance(100)
        pool.sweep(clock())
        assert not receiver.is_over
        receiver.outbound.resume()
        clock.advance(1.1)
        pool.sweep(clock())
        assert receiver.failure is Reason.UPSTREAM_TIMEOUT


async def test_the_state_is_shown() -> None:
    async with RecordingUpstream() as upstream, a_pool(upstream.port) as pool:
        receiver = Asking(ends=False)
        pool.acquire(receiver)
        await until(lambda: pool.busy_count == 1 or receiver.is_over, what="the connection")
        assert "<UpstreamConnection up " in repr(receiver.outbound)
