"""
The admin port, behind the same listener and the same parser as the data port.

A second HTTP server would be a second set of limits to know, and twelve megabytes of every process.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable
from http import HTTPStatus
from pathlib import Path

from proxy.accept.doors import Door
from proxy.accept.interfaces import Connection
from proxy.accept.limits import Limits
from proxy.accept.listener import Listener
from proxy.accept.sockets import Place, TcpPlace, UnixPlace
from proxy.control.pages import METHODS, Page, Pages
from proxy.model.decision import Reason
from proxy.model.peer import Peer
from proxy.model.request import Headers
from proxy.tasks import TaskOwner
from proxy.wire.reading import HeaderBlock
from proxy.wire.refusal import REFUSALS
from proxy.wire.response import closing_line, status_line

log = logging.getLogger("rolegate.admin")

# A scrape that is under way may finish; nothing here is worth a longer wait.
SHUTDOWN_TIMEOUT_S = 1.0
SWEEP_S = 1.0

# For Prometheus, probes and a person with curl. Prometheus keeps its connection between two scrapes.
LIMITS = Limits(
    max_connections=256,
    max_header_bytes=16 * 1024,
    max_header_count=64,
    max_target_bytes=2048,
    headers_timeout_s=10.0,
    body_idle_timeout_s=10.0,
    keep_alive_timeout_s=75.0,
    write_idle_timeout_s=10.0,
)


class Admin:
    """Shows `pages` on a port, or on a UNIX socket."""

    __slots__ = ("_listener", "_pages", "_tasks")

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._tasks = TaskOwner()
        self._listener = Listener(self, LIMITS, time.monotonic)

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port; raises ConfigurationError."""
        return await self._start(TcpPlace(host, port))

    async def start_on_socket(self, path: Path) -> None:
        """Listen on a UNIX socket of ours alone instead."""
        await self._start(UnixPlace(path, 0o600))

    async def _start(self, place: Place) -> int:
        port = await self._listener.start((Door(place=place),))
        self._tasks.spawn(self._sweep(), name="sweep the admin port")
        return port

    async def stop(self) -> None:
        """Stop listening."""
        await self._listener.stop(SHUTDOWN_TIMEOUT_S)
        await self._tasks.close()

    def open(self, client: Connection, peer: Peer) -> "AdminExchange":  # noqa: ARG002 - whoever gets here may look
        """Return the exchange for a request whose head has just come."""
        return AdminExchange(client, self._pages, self._tasks)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._listener.sweep(time.monotonic())


class AdminExchange:
    """One request to the admin port: what its target names is looked up, a body is not."""

    __slots__ = (
        "_answering",
        "_client",
        "_is_head",
        "_is_whole",
        "_keep_alive",
        "_pages",
        "_tasks",
        "_version",
    )

    def __init__(self, client: Connection, pages: Pages, tasks: TaskOwner) -> None:
        self._client = client
        self._pages = pages
        self._tasks = tasks
        self._answering: asyncio.Task[object] | None = None
        self._version = "1.1"
        self._keep_alive = False
        self._is_head = False
        self._is_whole = False

    def begin(
        self,
        method: str,
        target: bytes,
        version: str,
        headers: Headers,
        *,
        keep_alive: bool,
        familiar: HeaderBlock | None = None,  # noqa: ARG002 - none is ever given: none is ever returned
    ) -> HeaderBlock | None:
        """Take the head of the request, and answer it in the next turn of the event loop."""
        self._version, self._keep_alive, self._is_head = version, keep_alive, method == "HEAD"
        accept = b",".join(value for name, value in headers if name.lower() == b"accept")
        self._answer(self._pages.show(method, target, accept.decode("latin-1")))
        return None

    def refuse(self, reason: Reason, detail: str, claimed_target: bytes) -> None:  # noqa: ARG002 - no place for it
        """Refuse what cannot be read."""
        refusal = REFUSALS[reason]
        self._answer(_page(refusal.status, f"{refusal.title}: {detail or refusal.advice}\n"))

    def end(self) -> None:
        """Note that the request has come whole."""
        self._is_whole = True

    def body(self, data: bytes) -> None:
        """Let a piece of a body go."""

    def trailer(self, name: bytes, value: bytes) -> None:
        """Let a trailer go."""

    def request_failed(self, reason: Reason, detail: str = "") -> None:  # noqa: ARG002 - a body is of no use here
        """Break off: what is left of the request cannot be read."""
        self._end_answering()
        self._client.abort()

    def client_gone(self) -> None:
        """Stop: nobody waits."""
        self._end_answering()

    def client_blocked(self) -> None:
        """Wait: the whole answer is written already."""

    client_writable = client_blocked

    def _answer(self, coming: Awaitable[Page]) -> None:
        self._answering = self._tasks.spawn(self._send(coming), name="answer on the admin port")

    def _end_answering(self) -> None:
        if self._answering is not None:
            self._answering.cancel()

    async def _send(self, coming: Awaitable[Page]) -> None:
        try:
            page = await coming
        except Exception:
            # The boundary of the request: a number that cannot be told must not leave the scrape hanging.
            log.exception("a page of the admin port could not be made")
            page = Page(500, b"the page could not be made; the log says why\n")
        keep_alive = self._keep_alive and self._is_whole
        self._client.write(_response(page, self._version, is_head=self._is_head, keep_alive=keep_alive))
        self._client.finish(keep_alive=keep_alive)


async def _page(status: int, text: str) -> Page:
    return Page(status, text.encode())


def _response(page: Page, version: str, *, is_head: bool, keep_alive: bool) -> bytes:
    lines = (
        status_line(page.status, HTTPStatus(page.status).phrase.encode()),
        f"Content-Type: {page.content_type}\r\nContent-Length: {len(page.body)}\r\n".encode(),
        f"Allow: {', '.join(METHODS)}\r\n".encode() if page.status == HTTPStatus.METHOD_NOT_ALLOWED else b"",
        closing_line(version, keep_alive=keep_alive),
        b"\r\n",
        b"" if is_head else page.body,
    )
    return b"".join(lines)
