"""
What the Python side of a request costs: the whole proxy, with every socket but its own left out.

    python -m tests.bench.inner [--only small,refused] [--profile] [--perf]

The real `Proxy` is assembled, with its audit file, on a loop whose data port and upstream connections are
scripts: bytes go straight into `data_received`, what is written is looked at and let go. No system call
but the audit file's, no other process, no network: what remains is our own work, so that a change of one
microsecond shows. The best of several rounds counts; the others were disturbed.
"""

import argparse
import asyncio
import cProfile
import gc
import json
import os
import pstats
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, cast

import uvloop
import yaml
from aiohttp import web

from proxy.assemble import Proxy
from proxy.serving import GC_THRESHOLD
from proxy.settings.load import load
from tests.bench.credentials import Credentials, make_credentials
from tests.bench.rolegate import rolegate_configuration
from tests.kit.local_proxy import until
from tests.kit.nginx import API_BODY
from tests.kit.ports import LOOPBACK

COLD_TOKENS = 2000
LARGE_BYTES = 16 * 1024


class ScriptedTransport:
    """What a protocol writes to; `written` counts the bytes since somebody last looked."""

    def __init__(self) -> None:
        self.written = 0
        self.is_closed = False

    def write(self, data: bytes) -> None:
        """Count what the protocol sends."""
        self.written += len(data)

    def writelines(self, pieces: Sequence[bytes]) -> None:
        """Count what the protocol sends in pieces."""
        self.written += sum(map(len, pieces))

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return an address where one is asked for."""
        return (LOOPBACK, 50_000) if name in ("peername", "sockname") else default

    def is_closing(self) -> bool:
        """Say whether the protocol has closed."""
        return self.is_closed

    def close(self) -> None:
        """Note the close."""
        self.is_closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        """Nothing ever waits."""
        return 0

    def _nothing(self, *arguments: object, **named: object) -> None: ...

    pause_reading = resume_reading = set_write_buffer_limits = write_eof = set_protocol = _nothing


@dataclass(slots=True)
class End:
    """One connection: the protocol under test and what it writes to."""

    protocol: Any  # Any: a protocol of either kind
    transport: ScriptedTransport

    def feed(self, data: bytes) -> None:
        """Hand `data` to the protocol as the loop does."""
        protocol = self.protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            view = memoryview(data)
            while view:
                buffer = protocol.get_buffer(len(view))
                taken = min(len(view), memoryview(buffer).nbytes)
                memoryview(buffer)[:taken] = view[:taken]
                protocol.buffer_updated(taken)
                view = view[taken:]
        else:
            protocol.data_received(data)


class ScriptedLoop(uvloop.Loop):
    """A loop whose data port and outgoing connections are scripts; the admin port is real."""

    def __init__(self) -> None:
        self.upstream: list[End] = []
        self.data_port: Callable[[], Any] | None = None  # Any: a protocol

    # Any: whatever the overloads of uvloop's take and return
    async def create_server(  # type: ignore[override]  # one for all of its overloads
        self, factory: Callable[[], Any], *where: Any, **how: Any
    ) -> Any:
        """Keep the factory of the data port; the socket stays silent."""
        if not isinstance(factory, web.Server):
            self.data_port = factory
        return await super().create_server(factory, *where, **how)

    # Any: whatever the overloads of uvloop's take and return
    async def create_connection(  # type: ignore[override]  # one for all of its overloads
        self, factory: Callable[[], Any], *where: Any, **how: Any
    ) -> Any:
        """Return a connection to nobody."""
        end = End(factory(), ScriptedTransport())
        end.protocol.connection_made(end.transport)
        self.upstream.append(end)
        return end.transport, end.protocol

    def connect(self) -> End:
        """Return a client's connection."""
        assert self.data_port is not None
        end = End(self.data_port(), ScriptedTransport())
        end.protocol.connection_made(end.transport)
        return end


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of request: what clients send, one after the other, and what the upstream answers."""

    requests: Sequence[bytes]
    response: bytes


class Round:
    """Drives requests through, turn by turn of the loop, until `count` were answered."""

    def __init__(self, loop: ScriptedLoop, clients: Sequence[End], case: Case, count: int) -> None:
        self._loop = loop
        self._clients = clients
        self._response = case.response
        self._requests = islice(cycle(case.requests), count)
        self._left = count
        self.done = loop.create_future()

    def run(self) -> None:
        """Send every client's first request."""
        for client in self._clients:
            self._send(client)
        self._loop.call_soon(self._turn)

    def _send(self, client: End) -> None:
        request = next(self._requests, None)
        if request is not None:
            client.feed(request)

    def _turn(self) -> None:
        """Answer as upstream what came there, then let clients go on that have their answer."""
        for end in self._loop.upstream:
            if end.transport.written:
                end.transport.written = 0
                end.feed(self._response)
        for client in self._clients:
            if client.transport.written:
                client.transport.written = 0
                self._left -= 1
                self._send(client)
        if self._left:
            self._loop.call_soon(self._turn)
        else:
            self.done.set_result(None)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.inner", description="Measure our own work in a request."
    )
    parser.add_argument("--only", default="", help=f"comma-separated, of: {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--requests", type=int, default=10_000, help="requests of a round")
    parser.add_argument(
        "--connections", type=int, default=16, help="clients, and so the requests of one audit write"
    )
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"), help="where the audit file is")  # noqa: S108
    parser.add_argument("--profile", action="store_true", help="print a cProfile of one more round")
    parser.add_argument("--perf", action="store_true", help="wait before the rounds, for `perf record -p`")
    arguments = parser.parse_args()
    arguments.only = [name for name in arguments.only.split(",") if name] or list(CASES)
    return arguments


def get(token: str | None, path: str = "/api/deployments/production") -> bytes:
    """Return a request as wrk sends it."""
    line = "" if token is None else f"Authorization: Bearer {token}\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:8080\r\n{line}\r\n".encode()


def answer(body: bytes) -> bytes:
    """Return a response as nginx sends it."""
    lines = (
        "HTTP/1.1 200 OK",
        "Server: nginx/1.22.1",
        "Date: Sun, 22 Nov 2026 10:00:00 GMT",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: keep-alive",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + body


SMALL = answer(API_BODY.encode())

CASES: dict[str, Callable[[Credentials], Case]] = {
    "small": lambda known: Case(requests=[get(known.good)], response=SMALL),
    "16k": lambda known: Case(requests=[get(known.good)], response=answer(bytes(LARGE_BYTES))),
    "no-token": lambda known: Case(requests=[get(None)], response=SMALL),
    "forged": lambda known: Case(requests=[get(known.forged)], response=SMALL),
    "expired": lambda known: Case(requests=[get(known.expired)], response=SMALL),
    "cold": lambda known: Case(requests=[get(token) for token in known.cold(COLD_TOKENS)], response=SMALL),
}


async def measure(loop: ScriptedLoop, proxy: Proxy, case: Case, arguments: argparse.Namespace) -> list[float]:
    """Return the CPU µs of a request in each round."""
    clients = [loop.connect() for _ in range(arguments.connections)]
    is_cold = len(case.requests) > 1
    # A token is cold once; every round has its share of them.
    rounds = min(arguments.rounds, 4) if is_cold else arguments.rounds
    count = len(case.requests) // rounds if is_cold else arguments.requests
    costs = []
    if not is_cold:
        await one_round(loop, clients, case, 500)
    for number in range(rounds):
        share = case
        if is_cold:
            share = Case(
                requests=case.requests[number * count : (number + 1) * count], response=case.response
            )
        start = time.process_time()
        await one_round(loop, clients, share, count)
        costs.append((time.process_time() - start) / count * 1e6)
    if arguments.profile and not is_cold:
        with cProfile.Profile() as profile:
            await one_round(loop, clients, case, count)
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
    for client in clients:
        client.protocol.connection_lost(None)
    return costs


async def one_round(loop: ScriptedLoop, clients: Sequence[End], case: Case, count: int) -> None:
    """Answer `count` requests."""
    driven = Round(loop, clients, case, count)
    driven.run()
    await asyncio.wait_for(driven.done, 60 + count / 1000)


async def main(loop: ScriptedLoop, folder: Path, arguments: argparse.Namespace) -> None:
    """Measure each case and print it."""
    credentials = make_credentials()
    silent = socket.create_server((LOOPBACK, 0))  # should anything connect in spite of the script
    proxy = Proxy(load(write_configuration(folder, credentials, silent.getsockname()[1])))
    await proxy.start()
    await until(lambda: not proxy.missing(), what="readiness")
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    if arguments.perf:
        print(f"perf record -g -p {os.getpid()}   # begin within 5 s", file=sys.stderr)
        await asyncio.sleep(5)
    print(f"{'':10}{'best':>8}{'median':>8}{'worst':>8}   µs CPU per request")
    try:
        for name in arguments.only:
            costs = sorted(await measure(loop, proxy, CASES[name](credentials), arguments))
            print(
                f"{name:10}{costs[0]:8.2f}{costs[len(costs) // 2]:8.2f}{costs[-1]:8.2f}",
                flush=True,
            )
    finally:
        await proxy.stop()
        silent.close()


def write_configuration(folder: Path, credentials: Credentials, upstream_port: int) -> Path:
    """Write what the proxy serves by, and return where."""
    (folder / "keys.json").write_text(credentials.jwks)
    document = rolegate_configuration(upstream_port, routes=10, bindings=10, path="/api/**")
    document |= {
        "listen": {"address": f"{LOOPBACK}:0"},
        "admin": {"address": f"{LOOPBACK}:0"},
        "audit": {"file": str(folder / "audit.jsonl")},
    }
    path = folder / "rolegate.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(document))))
    return path


def run() -> int:
    """Measure in a folder of our own."""
    arguments = parse()
    folder = arguments.folder if arguments.folder.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="rolegate-inner-", dir=folder) as name,
        asyncio.Runner(loop_factory=ScriptedLoop) as runner,
    ):
        loop = cast("ScriptedLoop", runner.get_loop())
        runner.run(main(loop, Path(name), arguments))
    return 0


if __name__ == "__main__":
    sys.exit(run())
