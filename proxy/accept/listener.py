"""
The listening sockets and the connections that came through them.

Law: no more connections than the limit, whichever door they came through and however far they got,
and none without a deadline. A stop closes the sockets first, then idle connections, then waits for
what is in flight, and at the deadline resets what is left.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from proxy.accept.certificates import Certificate
from proxy.accept.client import ClientConnection
from proxy.accept.crowd import Crowd
from proxy.accept.doors import Door
from proxy.accept.greeting import Greeting
from proxy.accept.interfaces import Exchanges, Presence
from proxy.accept.leaving import departed
from proxy.accept.limits import Limits
from proxy.accept.patience import Patience
from proxy.accept.sockets import (
    BACKLOG,
    Opened,
    PassedPlace,
    TcpPlace,
    adopt_shared,
    close_all,
    open_sockets,
    take_passed,
)
from proxy.errors import ConfigurationError
from proxy.resetting import reset_on_close
from proxy.tasks import TaskOwner

log = logging.getLogger("rolegate.accept")

# How long the reset of what is left at a stop may take to get through the event loop.
RESET_S = 1.0
POLL_S = 0.02

# From Python 3.13 on a server removes the file of its UNIX socket when it closes, although other workers may
# listen there. We have our own way (`OwnFile`), which asks whose file it is.
KEEPS_FILE: Final[dict[str, Any]] = (  # Any: arguments by name
    {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
)

# Accepted in one turn of the loop, where we accept ourselves; the others wait for the next.
MAX_ACCEPTS = 64
REST_S = 1.0


class Listener:
    """
    Accepts connections; `now` is the coarse monotonic clock that `sweep` moves.

    `places` says where, as people write it; `unread` has the connections on which nothing is read for
    now. Failures are counted by what failed: a PROXY header, a TLS handshake, or either that did not come
    in time.
    """

    __slots__ = (
        "_clock",
        "_connections",
        "_greetings",
        "_opened",
        "_servers",
        "accepted",
        "crowd",
        "doors",
        "exchanges",
        "handshakes_expired",
        "handshakes_failed",
        "headers_failed",
        "is_draining",
        "limits",
        "now",
        "places",
        "refused",
        "slow_readers",
        "slow_senders",
        "tasks",
        "unread",
    )

    def __init__(
        self,
        exchanges: Exchanges,
        limits: Limits,
        clock: Callable[[], float],
        presence: Presence | None = None,
    ) -> None:
        self.exchanges = exchanges
        self.limits = limits
        self._clock = clock
        self._connections: set[ClientConnection] = set()
        self.unread: set[Patience] = set()
        self.crowd = Crowd(presence)
        self._greetings: set[Greeting] = set()
        self._servers: list[asyncio.Server] = []
        self._opened: list[Opened] = []
        self.tasks = TaskOwner()
        self.doors: tuple[Door, ...] = ()
        self.places: tuple[str, ...] = ()
        self.now = clock()
        self.is_draining = False
        self.accepted = 0
        self.refused = 0
        self.slow_senders = 0
        self.slow_readers = 0
        self.headers_failed = 0
        self.handshakes_failed = 0
        self.handshakes_expired = 0

    async def start(
        self,
        doors: Iterable[Door],
        *,
        reuse_port: bool = False,
        shared: Mapping[int, Sequence[int]] | None = None,
    ) -> int:
        """
        Listen at every door, and return the first port, which the system chose if it is 0 there.

        `reuse_port` lets other processes listen on the same ports; `shared` has descriptors of sockets that
        they listen on as well, by the position of the door. Raises ConfigurationError; what was opened
        before is closed by `stop`.
        """
        self.doors, shared = tuple(doors), shared or {}
        own = [door for position, door in enumerate(self.doors) if position not in shared]
        passed = take_passed() if any(isinstance(door.place, PassedPlace) for door in own) else {}
        try:
            for position, door in enumerate(self.doors):
                if position in shared:
                    await self._open(door, adopt_shared(shared[position]))
                else:
                    await self._open(door, open_sockets(door.place, passed, reuse_port=reuse_port))
        finally:
            for name, unused in passed.items():
                log.warning("nobody listens on the sockets that systemd passed as `%s`", name)
                close_all(unused)
        bound = [opened.socket.getsockname() for opened in self._opened]
        return next((int(name[1]) for name in bound if isinstance(name, tuple)), 0)

    async def _open(self, door: Door, sockets: Sequence[Opened]) -> None:
        loop = asyncio.get_running_loop()
        for opened in sockets:
            self._opened.append(opened)
            is_local = opened.socket.family == socket.AF_UNIX
            if (door.trusts_peers or door.demands_header) and not is_local:
                raise ConfigurationError(
                    f"`{door.place}` is no UNIX socket, so its peers are not trusted by it"
                )
            if door.is_plain:
                make, more = (loop.create_unix_server, KEEPS_FILE) if is_local else (loop.create_server, {})
                server = await make(self._factory(door), sock=opened.socket, backlog=BACKLOG, **more)
                self._servers.append(server)
            else:
                opened.socket.listen(BACKLOG)
                loop.add_reader(opened.socket, self._accept, door, opened.socket)
            self.places = (*self.places, _shown(door, opened.socket))

    def _factory(self, door: Door) -> Callable[[], ClientConnection]:
        peer_of = door.peer_of  # one for all, since each connection keeps it for a while
        return lambda: ClientConnection(self, peer_of)

    def _accept(self, door: Door, listening: socket.socket) -> None:
        """Take the connections that wait, each with its greeting."""
        for _ in range(MAX_ACCEPTS):
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(door, listening, error)
                return
            accepted.setblocking(False)
            if accepted.family != socket.AF_UNIX:
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            greeting = Greeting(self, door, accepted, door.peer_at(address))
            if self._may_enter() and (greeting.counted_as is None or self._has_room_for(greeting.counted_as)):
                self._greetings.add(greeting)
                greeting.begin()
            else:
                reset_on_close(accepted)
                accepted.close()

    def _rest(self, door: Door, listening: socket.socket, error: OSError) -> None:
        """Look away for a moment: without file descriptors the same would fail again at once, for ever."""
        log.error("cannot accept connections on `%s`: %s", door.place, error.strerror)
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(REST_S, self._wake, door, listening)

    def _wake(self, door: Door, listening: socket.socket) -> None:
        if not self.is_draining:
            asyncio.get_running_loop().add_reader(listening, self._accept, door, listening)

    def add(self, connection: ClientConnection, address: str) -> None:
        """Take a new connection, or reset it if there are too many, of all clients or of this one."""
        was_greeted = connection in self._connections  # then it counts already, but not for this client
        if was_greeted or self._may_enter():
            if self._has_room_for(address):
                self._connections.add(connection)
                return
            self._connections.discard(connection)
        connection.abort()

    def _has_room_for(self, address: str) -> bool:
        """Count one more connection of this client, unless it has enough."""
        limits = self.limits
        return self.crowd.enter(address, limits.max_connections_per_client, limits.uncounted)

    def _may_enter(self) -> bool:
        if self.connection_count >= self.limits.max_connections or self.is_draining:
            self.refused += 1
            return False
        self.accepted += 1
        return True

    def replace(self, greeting: Greeting, connection: ClientConnection) -> None:
        """Let a connection take the place of its greeting."""
        self.dismiss(greeting)
        self._connections.add(connection)

    def remove(self, connection: ClientConnection, address: str) -> None:
        """Strike off a connection that is closed."""
        self.unread.discard(connection)
        if connection in self._connections:
            self._connections.remove(connection)
            self.crowd.leave(address)

    def dismiss(self, greeting: Greeting) -> None:
        """Strike off a greeting: its connection takes over, or came to no request."""
        if greeting in self._greetings:
            self._greetings.remove(greeting)
            if greeting.counted_as is not None:
                self.crowd.leave(greeting.counted_as)

    def tend(self) -> None:
        """Follow the TLS files; called once a second."""
        for door in self.doors:
            if door.tls is not None:
                door.tls.refresh()

    def sweep(self, now: float) -> None:
        """
        End connections whose deadline has passed or whose client has left.

        Called several times a second.
        """
        self.now = now
        for connection in departed(self.unread):
            self._end(connection, connection.leave)
        for held in [held for held in self._held() if held.deadline <= now]:
            self._end(held, held.expire)

    def _end(self, connection: Patience | Greeting, end: Callable[[], None]) -> None:
        try:
            end()
        except Exception:
            # The boundary between connections: without the sweep none of them has a deadline.
            log.exception("%r did not end in order", connection)
            connection.abort()

    async def stop(self, timeout_s: float) -> int:
        """Stop accepting, let what is in flight finish, and return how many connections had to be reset."""
        self.is_draining = True
        self._close_sockets()
        for connection in self._held():
            connection.drain()
        await self._until_empty(timeout_s)
        resets = sum([connection.let_go() for connection in self._held()])
        await self._until_empty(RESET_S)
        await self.tasks.close()
        return resets

    def _close_sockets(self) -> None:
        opened, self._opened = self._opened, []
        for one in opened:
            if one.file is not None:
                one.file.remove()
            asyncio.get_running_loop().remove_reader(one.socket)
        for server in self._servers:
            server.close()
        # Those for which there is no server: a later door could not be opened.
        close_all(one.socket for one in opened)

    async def _until_empty(self, timeout_s: float) -> None:
        give_up_at = self._clock() + timeout_s
        while self.connection_count and self._clock() < give_up_at:  # noqa: ASYNC110 - an event would cost each connection
            await asyncio.sleep(POLL_S)

    def certificates(self) -> Iterator[Certificate]:
        """Yield what is in force at every door."""
        for door in self.doors:
            if door.tls is not None:
                yield from door.tls.certificates

    @property
    def reloads(self) -> int:
        """How often new TLS files were put in force."""
        return sum(door.tls.reloads for door in self.doors if door.tls is not None)

    @property
    def failed_reloads(self) -> int:
        """How often new TLS files could not be used."""
        return sum(door.tls.failures for door in self.doors if door.tls is not None)

    @property
    def connection_count(self) -> int:
        """Open client connections."""
        return len(self._connections) + len(self._greetings)

    def _held(self) -> list[ClientConnection | Greeting]:
        return [*self._connections, *self._greetings]

    def __repr__(self) -> str:
        return f"<Listener [{self.connection_count} connections]>"


def _shown(door: Door, opened: socket.socket) -> str:
    name = opened.getsockname()
    place = str(TcpPlace(name[0], name[1])) if isinstance(name, tuple) else str(door.place)
    return f"{place} (TLS)" if door.tls is not None else place
