"""The other side of a client connection: exchanges that do what a test says, and note what they are told."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from proxy.accept.doors import Door
from proxy.accept.interfaces import Connection, Exchange
from proxy.accept.limits import Limits
from proxy.accept.listener import Listener
from proxy.accept.sockets import TcpPlace
from proxy.model.decision import Reason
from proxy.model.peer import Peer
from proxy.model.request import Headers
from proxy.wire.reading import HeaderBlock
from tests.kit.clock import Clock
from tests.kit.local_proxy import until
from tests.kit.ports import LOOPBACK

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Told:
    """Notes what it is told; answers at the end of a request if `answers`."""

    def __init__(self, client: Connection, owner: "Exchanges") -> None:
        self.client = client
        self.owner = owner
        self.events: list[object] = []
        self.familiar: HeaderBlock | None = None

    def begin(
        self,
        method: str,
        target: bytes,
        version: str,
        headers: Headers,
        *,
        keep_alive: bool,
        familiar: HeaderBlock | None = None,
    ) -> HeaderBlock | None:
        self.events.append((method, target, keep_alive))
        self.familiar = familiar
        if familiar is not None:
            self.end()
        return self.owner.block

    def refuse(self, reason: Reason, detail: str, claimed_target: bytes) -> None:
        self.events.append((reason, claimed_target))
        self.finish(keep_alive=False)

    def body(self, data: bytes) -> None:
        self.events.append(data)
        if self.owner.refuses_bodies:
            self.finish(keep_alive=False)

    def trailer(self, name: bytes, value: bytes) -> None:
        self.events.append((name, value))

    def end(self) -> None:
        self.events.append("end")
        if self.owner.answers:
            self.finish(keep_alive=True)

    def request_failed(self, reason: Reason, detail: str = "") -> None:
        self.events.append(reason)
        self.finish(keep_alive=False)

    def client_gone(self) -> None:
        self.events.append("gone")

    def client_blocked(self) -> None:
        self.events.append("blocked")

    def client_writable(self) -> None:
        self.events.append("writable")

    def finish(self, *, keep_alive: bool) -> None:
        self.client.write(OK)
        self.client.finish(keep_alive=keep_alive)


class Exchanges:
    """Makes exchanges and keeps them all."""

    def __init__(self) -> None:
        self.answers = True
        self.block: HeaderBlock | None = None
        self.refuses_bodies = False
        self.all: list[Told] = []
        self.peers: list[Peer] = []

    def open(self, client: Connection, peer: Peer) -> Exchange:
        self.all.append(Told(client, self))
        self.peers.append(peer)
        return self.all[-1]


@asynccontextmanager
async def listening(
    max_connections: int = 10, door: Door | None = None
) -> AsyncGenerator[tuple[Listener, Exchanges, int, Clock]]:
    """Run a listener whose clock the test moves; yield it with its exchanges and its port."""
    exchanges, clock = Exchanges(), Clock()
    limits = Limits(
        max_connections=max_connections,
        max_header_bytes=1000,
        max_header_count=10,
        max_target_bytes=100,
        headers_timeout_s=1,
        body_idle_timeout_s=2,
        keep_alive_timeout_s=3,
        write_idle_timeout_s=4,
    )
    listener = Listener(exchanges, limits, clock)
    port = await listener.start([door or Door(place=TcpPlace(LOOPBACK, 0))])
    try:
        yield listener, exchanges, port, clock
    finally:
        # The test's clock stands still, and so would a wait for what is left.
        for connection in listener._held():
            connection.abort()
        await until(lambda: listener.connection_count == 0, what="the end of every connection")
        await listener.stop(0)
