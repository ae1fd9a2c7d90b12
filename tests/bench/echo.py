"""
WebSocket messages echoed through the contestants: what one message costs, there and back.

Server and callers are ours and know one frame only, a binary one of `PAYLOAD` bytes whose mask is zero: they
cost little, and a proxy that splices does not look at frames.

    python -m tests.bench.echo serve PORT        python -m tests.bench.echo call PORT SECONDS TOKEN
"""

import asyncio
import base64
import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import uvloop

from tests.bench.load import BenchmarkError
from tests.bench.peer import UPSTREAM_CORE
from tests.kit.ports import LOOPBACK, answers, free_port
from tests.kit.processes import Process

PAYLOAD = 125
CONNECTIONS = 32
PATH = "/api/echo"
KEY = base64.b64encode(bytes(16)).decode()
ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
TO_SERVER = bytes((0x82, 0x80 | PAYLOAD)) + bytes(4)
TO_CALLER = bytes((0x82, PAYLOAD))
SENT_BYTES = len(TO_SERVER) + PAYLOAD
# What a proxy gets that is asked whether it is up.
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
ECHOED_BYTES = len(TO_CALLER) + PAYLOAD


def accept_of(key: str) -> str:
    """Return the answer to a `Sec-WebSocket-Key` (RFC 6455 section 4.2.2)."""
    digest = hashlib.sha1(f"{key}{ACCEPT_GUID}".encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def echoed(buffer: bytes) -> tuple[bytes, bytes]:
    """Return the frames that answer the whole frames in `buffer`, and what is left of it."""
    whole = len(buffer) // SENT_BYTES
    ends = range(SENT_BYTES, (whole + 1) * SENT_BYTES, SENT_BYTES)
    frames = (TO_CALLER + buffer[end - PAYLOAD : end] for end in ends)
    return b"".join(frames), buffer[whole * SENT_BYTES :]


class Echo(asyncio.Protocol):
    """The server's side of one connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._is_open = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._buffer += data
        if not self._is_open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._buffer = rest
            self._is_open = b"websocket" in head.lower()
            self._transport.write(switching(head) if self._is_open else NO_CONTENT)
        if self._is_open:
            answer, self._buffer = echoed(self._buffer)
            if answer:
                self._transport.write(answer)


def switching(head: bytes) -> bytes:
    """Return the 101 to a request's head."""
    fields = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    named = {name.strip().lower(): value.strip().decode() for name, _, value in fields}
    lines = (
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_of(named.get(b'sec-websocket-key', ''))}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


class Caller(asyncio.Protocol):
    """One caller: sends a message, waits for its echo, sends the next."""

    def __init__(self, token: str, done: "asyncio.Future[None]") -> None:
        self._token = token
        self._done = done
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._is_open = False
        self._sent_at = 0.0
        self.delays_s: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        own = self._transport = cast("asyncio.Transport", transport)
        lines = (
            f"GET {PATH} HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {self._token}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {KEY}",
        )
        own.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            head, end, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            if not head.startswith(b"HTTP/1.1 101") or accept_of(KEY).encode() not in head:
                self._fail(f"no handshake: {head!r}")
                return
            self._is_open = True
            self._send()
        if len(self._buffer) >= ECHOED_BYTES:
            if self._buffer != TO_CALLER + bytes(PAYLOAD):
                self._fail("an echo is not what was sent")
                return
            self._buffer = b""
            self.delays_s.append(time.perf_counter() - self._sent_at)
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("a connection ended")

    def stop(self) -> None:
        """Go without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self) -> None:
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(TO_SERVER + bytes(PAYLOAD))

    def _fail(self, why: str) -> None:
        if not self._done.done():
            self._done.set_exception(BenchmarkError(why))


class EchoServer(Process):
    """The upstream of WebSocket messages."""

    name = "echo"
    core = UPSTREAM_CORE

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()

    def prepare(self) -> Sequence[str]:
        """Return our own command."""
        return [sys.executable, "-m", "tests.bench.echo", "serve", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        """Return ours, with the way to this package: the process starts in a folder of its own."""
        return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def is_ready(self) -> bool:
        """Say whether it listens."""
        return answers(self.port)


async def serve(port: int) -> None:
    """Echo until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Echo, LOOPBACK, port, backlog=1024)
    await server.serve_forever()


async def call(port: int, seconds: float, token: str) -> dict[str, float]:
    """Exchange messages on every connection for some seconds and return what it was like."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    callers = [Caller(token, done) for _ in range(CONNECTIONS)]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, LOOPBACK, port)  # type: ignore[misc]  # a lambda
    start = time.perf_counter()
    try:
        await asyncio.wait_for(asyncio.shield(done), seconds)
    except TimeoutError:
        done.cancel()
    elapsed = time.perf_counter() - start
    for caller in callers:
        caller.stop()
    delays = sorted(delay for caller in callers for delay in caller.delays_s)
    if not delays:
        raise BenchmarkError("not one message came back")
    return {
        "messages": len(delays),
        "per_s": len(delays) / elapsed,
        "p50_ms": delays[len(delays) // 2] * 1e3,
        "p99_ms": delays[len(delays) * 99 // 100] * 1e3,
    }


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        uvloop.run(serve(int(sys.argv[2])))
    else:
        print(json.dumps(uvloop.run(call(int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))))
