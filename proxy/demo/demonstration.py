"""
Issuer, upstream and proxy in one process: started in order, shown, ended in order.

The proxy in the middle is the one that `rolegate serve` runs, built from a file in a temporary folder,
with the audit trail in a file beside it. Nothing is left behind.
"""

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TextIO

from proxy.assemble import Proxy
from proxy.demo.configuration import write_configuration
from proxy.demo.issuer import AUDIENCE, DemoIssuer
from proxy.demo.lines import AuditLines
from proxy.demo.loopback import LOOPBACK, Server
from proxy.demo.tail import Tail
from proxy.demo.terminal import Palette
from proxy.demo.upstream import SampleUpstream
from proxy.demo.welcome import Places, welcome
from proxy.errors import ConfigurationError
from proxy.settings.load import load

_POLL_S = 0.1
_READY_S = 10.0


async def demonstrate(port: int, admin_port: int, output: TextIO, palette: Palette) -> None:
    """
    Run until SIGINT or SIGTERM; port 0 lets the system choose.

    Raises ConfigurationError if a port cannot be had.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(port, admin_port) as places:
        lines = AuditLines(palette)
        print(welcome(places, palette), file=output)
        print("\nDecisions as they happen. Ctrl-C ends everything.\n", file=output)
        print(lines.heading(), file=output, flush=True)
        await _show(Tail(places.audit), lines, stop, output)
    print(palette.paint("\nended; nothing is left behind", "dim"), file=output, flush=True)


@asynccontextmanager
async def running(port: int, admin_port: int) -> AsyncIterator[Places]:
    """Run issuer, upstream and proxy, and say where they are."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rolegate-demo-")))
        issuer = await stack.enter_async_context(_serving(DemoIssuer()))
        upstream = await stack.enter_async_context(_serving(SampleUpstream()))
        config = write_configuration(
            folder,
            port=port,
            admin_port=admin_port,
            issuer=issuer.url,
            upstream=upstream.url,
            audience=AUDIENCE,
        )
        proxy = Proxy(load(config))
        await _start(proxy, port, admin_port)
        stack.push_async_callback(proxy.stop)
        await _until_ready(proxy)
        yield Places(
            port=proxy.port,
            admin_port=proxy.admin_port,
            issuer_port=issuer.port,
            upstream_port=upstream.port,
            config=config,
            audit=folder / "audit.jsonl",
        )


@asynccontextmanager
async def _serving(server: "Server") -> "AsyncIterator[Server]":
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def _start(proxy: Proxy, port: int, admin_port: int) -> None:
    try:
        await proxy.start()
    except ConfigurationError as error:
        raise ConfigurationError(_remedy(port, admin_port) or str(error)) from error


def _remedy(port: int, admin_port: int) -> str:
    """Return which port is taken and what to do about it, or nothing if both are free."""
    for option, number in (("--port", port), ("--admin-port", admin_port)):
        try:
            socket.create_server((LOOPBACK, number)).close()
        except OSError as error:
            what = f"cannot listen on {LOOPBACK}:{number}: {os.strerror(error.errno or 0).lower()}"
            return f"{what}; choose another port with `rolegate demo {option} NUMBER`, 0 for any free one"
    return ""


async def _until_ready(proxy: Proxy) -> None:
    try:
        async with asyncio.timeout(_READY_S):
            while proxy.missing():  # noqa: ASYNC110 - readiness is asked for, by probes too; nothing announces it
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise ConfigurationError(f"the demonstration is not ready: {'; '.join(proxy.missing())}") from None


async def _show(tail: Tail, lines: AuditLines, stop: asyncio.Event, output: TextIO) -> None:
    """Print what happens until `stop`, and what had happened by then."""
    while True:
        for line in lines.render(tail.read()):
            print(line, file=output, flush=True)
        if stop.is_set():
            return
        try:
            async with asyncio.timeout(_POLL_S):
                await stop.wait()
        except TimeoutError:
            continue
