"""
A whole proxy between a raw client and an upstream that reads with h11, on a loop that tests step through.

Hypothesis calls a plain function many times; one proxy serves them all.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Self

import h11
import uvloop

from tests.kit.local_proxy import LocalProxy
from tests.kit.ports import LOOPBACK

TIMEOUT_S = 20.0


class Seen:
    """One whole request as the upstream's h11 read it."""

    def __init__(self, request: h11.Request) -> None:
        self.method = request.method.decode()
        self.target = request.target
        self.headers = list(request.headers)
        self.body = b""

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of every header line called `name`."""
        return [value for key, value in self.headers if key == name]


class H11Upstream(asyncio.Protocol):
    """Answers each request with what it read of it; `problems` is what h11 could not read."""

    def __init__(self, seen: list[Seen], problems: list[str]) -> None:
        self.seen = seen
        self.problems = problems
        self._connection = h11.Connection(h11.SERVER)
        self._request: Seen | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # it is a stream's

    def data_received(self, data: bytes) -> None:
        self._connection.receive_data(data)
        try:
            while self._take(self._connection.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            self.problems.append(f"{error}: {data!r}")
            self._transport.abort()

    def _take(self, event: object) -> bool:
        if isinstance(event, h11.Request):
            self._request = Seen(event)
        elif isinstance(event, h11.Data) and self._request is not None:
            self._request.body += event.data
        elif isinstance(event, h11.EndOfMessage) and self._request is not None:
            self.seen.append(self._request)
            self._answer(self._request)
        else:
            return False
        return True

    def _answer(self, request: Seen) -> None:
        body = b"|".join([
            request.method.encode(),
            request.target,
            b",".join(request.values(b"x-rolegate-subject")),
            request.body,
        ])  # fmt: skip
        connection = self._connection
        head = h11.Response(status_code=200, headers=[("Content-Length", str(len(body)))])
        written = [connection.send(head)]
        if request.method != "HEAD":
            written.append(connection.send(h11.Data(data=body)))
        written.append(connection.send(h11.EndOfMessage()))
        self._transport.write(b"".join(piece or b"" for piece in written))
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            connection.start_next_cycle()
        else:
            self._transport.close()


class World:
    """The proxy and its upstream; `run` steps their loop."""

    def __init__(
        self, routes: Sequence[dict[str, object]] = (), *, listen: Mapping[str, object] | None = None
    ) -> None:
        self._routes = routes
        self._listen = listen
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.seen: list[Seen] = []
        self.problems: list[str] = []

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:  # Any: what coroutines are made of
        """Run `coroutine` to its end, after which nothing is in flight, from an empty record."""
        self.seen.clear()
        self.problems.clear()
        self._runner.run(self._bounded(coroutine))

    async def _bounded(self, coroutine: Coroutine[Any, Any, None]) -> None:  # Any: as above
        async with asyncio.timeout(TIMEOUT_S):
            await coroutine
            await self.proxy.until_quiet()

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: H11Upstream(self.seen, self.problems), LOOPBACK, 0)
        port = self._server.sockets[0].getsockname()[1]
        self.proxy = LocalProxy(f"http://{LOOPBACK}:{port}", listen=self._listen)
        if self._routes:
            self.proxy.configuration["routes"] = list(self._routes)
        await self.proxy.__aenter__()

    async def _stop(self) -> None:
        await self.proxy.__aexit__(None, None, None)
        self._server.close()

    def __enter__(self) -> Self:
        self._runner.run(self._start())
        return self

    def __exit__(self, *error: object) -> None:
        self._runner.run(self._stop())
        self._runner.close()


async def converse(port: int, pieces: Sequence[bytes], *, methods: Sequence[str] | None = None) -> bytes:
    """
    Send `pieces` one by one and return what comes back.

    All until the other side closes, or until there is a final response to each of `methods`.
    """
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    received = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        while methods is None or len(read_responses(received, methods)) < len(methods):
            piece = await reader.read(65536)
            if not piece:
                break
            received += piece
    except ConnectionError:
        pass  # a reset ends the conversation as well
    finally:
        writer.transport.abort()
    return received


class Response:
    """One whole final response as h11 read it."""

    def __init__(self, response: h11.Response) -> None:
        self.status = response.status_code
        self.headers = list(response.headers)
        self.body = b""


def read_responses(received: bytes, methods: Sequence[str] = ()) -> list[Response]:
    """Return the whole responses in `received`; raise if h11 finds anything else there."""
    responses: list[Response] = []
    while received:
        method = methods[len(responses)] if len(responses) < len(methods) else "GET"
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(received)
        response = _one(connection)
        if response is None:
            return responses
        responses.append(response)
        received = connection.trailing_data[0]
    return responses


def _one(connection: h11.Connection) -> Response | None:
    response = None
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            response = Response(event)
        elif isinstance(event, h11.Data) and response is not None:
            response.body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return response
        elif not isinstance(event, h11.InformationalResponse):
            return None
