"""
An upstream that keeps every byte it receives: the witness of what was forwarded and what was not.

What it answers is a script; the bytes are recorded whether the script looks at them or not.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from tests.kit.ports import LOOPBACK, reset

ACCEPT_TURNS = 5

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]+)[^\r\n]*\r\n")


class RecordedConnection:
    """One connection to the upstream: `received` is all that came on it, in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received = bytearray()
        self.writer = writer
        self._reader = reader
        self._taken = 0

    async def read(self) -> bytes:
        """Return what comes next, empty at the end."""
        piece = await self._reader.read(65536)
        self.received += piece
        return piece

    async def request(self) -> bytes | None:
        """Return the next whole request, head and body as they came, or None at the end."""
        while (size := request_size(self.received[self._taken :])) is None:
            if not await self.read():
                return None
        start, self._taken = self._taken, self._taken + size
        return bytes(self.received[start : self._taken])

    async def write(self, data: bytes) -> None:
        """Send `data`."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Drop the connection without taking leave: the other side gets a reset, not an end."""
        reset(self.writer)


Script = Callable[[RecordedConnection], Awaitable[None]]
"""What the upstream does with a connection; it is closed when the script returns."""


def answering(answer: Callable[[bytes], bytes]) -> Script:
    """Return the script that answers each whole request with `answer(request)`."""

    async def script(connection: RecordedConnection) -> None:
        while (request := await connection.request()) is not None:
            await connection.write(answer(request))

    return script


class RecordingUpstream:
    """
    An upstream on a loopback port that follows a script and records.

    Without a script every whole request is answered with `OK` and the connection stays open.
    """

    def __init__(self, script: Script | None = None, *, port: int = 0) -> None:
        self.port = port
        self.connections: list[RecordedConnection] = []
        self._script = script or answering(lambda request: OK)
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()
        self._accepted: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        """The upstream as a configuration names it."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def received(self) -> bytes:
        """All bytes of all connections, one connection after the other."""
        return b"".join(bytes(connection.received) for connection in self.connections)

    @property
    def open_count(self) -> int:
        """How many connections the script is still busy with."""
        return len(self._handlers)

    @property
    def byte_count(self) -> int:
        """How many bytes came, on all connections."""
        return sum(len(connection.received) for connection in self.connections)

    @property
    def requests(self) -> list[bytes]:
        """The whole requests that came, connection by connection."""
        return [request for connection in self.connections for request in split_requests(connection.received)]

    async def start(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is None:
            return
        for listening in self._server.sockets:
            # asyncio's own loop accepts in two steps, and loses whom it accepts in the turns that follow.
            asyncio.get_running_loop().remove_reader(listening.fileno())
        # What the loop has accepted already reaches us a few of its turns later, or, once closed, never.
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)
        self._server.close()
        for writer in self._accepted:
            # Before its script ends, which would be an end of the response too, where there is no other;
            # and also where the script is done, but what it wrote was never read.
            reset(writer)
        handlers = list(self._handlers)
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0)  # a transport is closed in the loop's next turn
        self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: one that is cancelled before its first step would leave the connection open.
        self._accepted.append(writer)
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = RecordedConnection(reader, writer)
        self.connections.append(connection)
        try:
            await self._script(connection)
        except (ConnectionError, asyncio.CancelledError):
            # Either side may end a connection at any time; that is what many tests are about.
            writer.transport.abort()
        finally:
            writer.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def request_size(data: bytes | bytearray) -> int | None:
    """Return how many bytes of `data` the first request takes, or None if it is not whole yet."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    head, body_at = data[: head_end + 4], head_end + 4
    if CHUNKED.search(head):
        return _chunked_end(data, body_at)
    length = CONTENT_LENGTH.search(head)
    size = body_at + (int(length[1]) if length else 0)
    return size if len(data) >= size else None


def split_requests(data: bytes | bytearray) -> list[bytes]:
    """Return the whole requests that `data` begins with."""
    requests = []
    while (size := request_size(data)) is not None:
        requests.append(bytes(data[:size]))
        data = data[size:]
    return requests


def _chunked_end(data: bytes | bytearray, at: int) -> int | None:
    while (line := CHUNK_SIZE.match(data, at)) is not None:
        size = int(line[1], 16)
        if size == 0:
            # Trailers, if any, end as a head does; the size line's own CRLF is the first half.
            end = data.find(b"\r\n\r\n", line.end() - 2)
            return None if end < 0 else end + 4
        at = line.end() + size + 2
    return None
