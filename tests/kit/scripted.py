"""
A client that sends exactly the bytes it is given and takes responses apart, nothing more.

It normalises nothing: a test that wants to send what no library would send has to be able to.
"""

import asyncio
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.kit.ports import LOOPBACK, reset

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response as it came; `head` holds the bytes up to and including the empty line."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    head: bytes

    def header(self, name: str) -> str | None:
        """Return the value of the only header called `name`, or None; raise if there are several."""
        values = self.header_values(name)
        if len(values) > 1:
            raise ValueError(f"`{name}` came {len(values)} times")
        return values[0] if values else None

    def header_values(self, name: str) -> list[str]:
        """Return the values of every header called `name`."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class ScriptedClient:
    """
    One raw connection to a loopback port, or to the UNIX socket at `path`; every wait is bounded.

    With `tls` what is scripted goes through a handshake that asks for `server_name`.
    """

    def __init__(
        self,
        port: int,
        *,
        timeout_s: float = TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
        server_name: str = "api.example.com",
        path: str | None = None,
    ) -> None:
        self.port = port
        self.timeout_s = timeout_s
        self.tls = tls
        self.server_name = server_name
        self.path = path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def reader(self) -> asyncio.StreamReader:
        """Where bytes come from."""
        return self._connected()[0]

    @property
    def writer(self) -> asyncio.StreamWriter:
        """Where bytes go."""
        return self._connected()[1]

    async def connect(self) -> Self:
        """Open the connection."""
        async with asyncio.timeout(self.timeout_s):
            if self.path is not None:
                self._streams = await asyncio.open_unix_connection(self.path, limit=2**20)
            else:
                name = None if self.tls is None else self.server_name
                self._streams = await asyncio.open_connection(
                    LOOPBACK, self.port, limit=2**20, ssl=self.tls, server_hostname=name
                )
        return self

    async def send(self, data: bytes, *, split_at: int | None = None, pause_s: float = 0.02) -> None:
        """Send `data`, in two packets if `split_at` says where."""
        pieces = [data] if split_at is None else [data[:split_at], data[split_at:]]
        for index, piece in enumerate(pieces):
            if index:
                # Long enough for the other side to read the first piece alone.
                await asyncio.sleep(pause_s)
            self.writer.write(piece)
            async with asyncio.timeout(self.timeout_s):
                await self.writer.drain()

    async def read_response(self, method: str = "GET") -> Response:
        """Return the next response to a `method` request; an interim (1xx) one counts as a response."""
        async with asyncio.timeout(self.timeout_s):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status, reason, headers = parse_head(head)
            body = await self._read_body(method, status, headers)
        return Response(status=status, reason=reason, headers=headers, body=body, head=head)

    async def request(self, data: bytes, *, split_at: int | None = None) -> Response:
        """Send `data`, one request, and return the response to it."""
        await self.send(data, split_at=split_at)
        return await self.read_response(data.split(b" ", 1)[0].decode("latin-1"))

    async def read_to_end(self) -> bytes:
        """Return all that comes until the other side closes; a reset ends it too."""
        received = bytearray()
        try:
            async with asyncio.timeout(self.timeout_s):
                while piece := await self.reader.read(65536):
                    received += piece
        except ConnectionError:
            pass
        return bytes(received)

    async def is_closed(self, *, within_s: float = 5.0) -> bool:
        """Say whether the other side ends the connection `within_s`, with nothing more to say."""
        try:
            async with asyncio.timeout(within_s):
                return await self.reader.read(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def end_sending(self) -> None:
        """Close our direction only."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Drop the connection without taking leave: the other side gets a reset, not an end."""
        reset(self.writer)

    async def close(self) -> None:
        """Close the connection."""
        if self._streams is None:
            return
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass

    async def _read_body(self, method: str, status: int, headers: list[tuple[str, str]]) -> bytes:
        fields = {name.lower(): value for name, value in headers}
        if method == "HEAD" or status < 200 or status in (204, 304):
            return b""
        if "chunked" in fields.get("transfer-encoding", "").lower():
            return await self._read_chunks()
        if "content-length" in fields:
            return await self.reader.readexactly(int(fields["content-length"]))
        return await self.reader.read(-1)

    async def _read_chunks(self) -> bytes:
        body = bytearray()
        while size := int((await self.reader.readuntil(b"\n")).split(b";")[0], 16):
            body += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        while (await self.reader.readuntil(b"\n")).strip():
            pass  # trailers
        return bytes(body)

    def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            raise RuntimeError("the client is not connected")
        return self._streams

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def parse_head(head: bytes) -> tuple[int, str, list[tuple[str, str]]]:
    """Return status, reason phrase and header lines of a response head."""
    first, *lines = head.decode("latin-1").split("\r\n")
    _, status, *reason = first.split(" ", 2)
    pairs = [line.split(":", 1) for line in lines if line]
    return int(status), "".join(reason), [(name, value.strip()) for name, value in pairs]


async def exchange(port: int, data: bytes, *, timeout_s: float = TIMEOUT_S) -> bytes:
    """Send `data` on a connection of its own and return all that comes until the other side closes it."""
    async with ScriptedClient(port, timeout_s=timeout_s) as client:
        await client.send(data)
        return await client.read_to_end()
