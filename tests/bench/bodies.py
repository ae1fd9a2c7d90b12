"""A large body down and up: how fast, and how much memory it takes to pass it on."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.credentials import Credentials
from tests.bench.load import BenchmarkError
from tests.bench.rolegate import Rolegate
from tests.bench.usage import status_bytes, tree
from tests.kit.nginx import Nginx
from tests.kit.ports import LOOPBACK
from tests.kit.processes import Process

PIECE = bytes(256 * 1024)
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """How a body went through; `growth_bytes` is the peak of resident memory over what it was before."""

    size: int
    mebibytes_per_s: float
    growth_bytes: int


def pass_bodies(upstream: Nginx, credentials: Credentials, *, size: int) -> dict[str, Passed]:
    """Return what a body of `size` bytes cost in each direction."""
    content = upstream.folder / "files" / "body"
    with content.open("wb") as file:
        file.truncate(size)
    try:
        with Rolegate(upstream.port, credentials, path="/**") as proxy:
            # Once without a body: what the proxy needs for the first request of all is not growth.
            download(proxy.port, credentials.good, "/healthy", 0)
            upload(proxy.port, credentials.good, "/uploads/body", 0)
            return {
                "down": timed(proxy, size, lambda: download(proxy.port, credentials.good, "/body", size)),
                "up": timed(proxy, size, lambda: upload(proxy.port, credentials.good, "/uploads/body", size)),
            }
    finally:
        content.unlink()
        upstream.uploaded("body").unlink(missing_ok=True)


def timed(proxy: Process, size: int, transfer: Callable[[], None]) -> Passed:
    """Run `transfer` and return what it cost."""
    processes = tree(proxy.pid)
    before = sum(status_bytes(pid, "VmRSS:") for pid in processes)
    for pid in processes:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak (VmHWM) is counted from now on
    start = time.monotonic()
    transfer()
    elapsed = time.monotonic() - start
    growth = sum(status_bytes(pid, "VmHWM:") for pid in processes) - before
    return Passed(size=size, mebibytes_per_s=size / 2**20 / elapsed, growth_bytes=growth)


def download(port: int, token: str, path: str, size: int) -> None:
    """Get a body of `size` bytes and let it go."""
    with connected(port) as connection:
        connection.sendall(head("GET", path, token))
        received = read_head(connection)
        buffer = bytearray(len(PIECE))
        while received < size:
            count = connection.recv_into(buffer)
            if count == 0:
                raise BenchmarkError(f"the body ended after {received} of {size} bytes")
            received += count


def upload(port: int, token: str, path: str, size: int) -> None:
    """Put a body of `size` bytes and wait for the answer."""
    with connected(port) as connection:
        connection.sendall(head("PUT", path, token, f"Content-Length: {size}"))
        for at in range(0, size, len(PIECE)):
            connection.sendall(PIECE[: size - at])
        read_head(connection)


def connected(port: int) -> socket.socket:
    """Return a connection on which no wait is endless."""
    return socket.create_connection((LOOPBACK, port), timeout=TIMEOUT_S)


def head(method: str, path: str, token: str, *lines: str) -> bytes:
    """Return a request head."""
    all_lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", *lines]
    return "".join(f"{line}\r\n" for line in [*all_lines, ""]).encode()


def read_head(connection: socket.socket) -> int:
    """Take the head of a successful response and return how much of the body came with it."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            raise BenchmarkError("no response")
        received += piece
    answer, _, rest = received.partition(b"\r\n\r\n")
    if answer.split(b" ")[1][:1] != b"2":
        raise BenchmarkError(f"no success:\n{answer.decode()}")
    return len(rest)
