"""
What comes before the first request: a PROXY header, a TLS handshake, or both in this order.

Law: a peer that has to send a PROXY header sends it whole and in time, or is reset. Not one byte
behind the header is read here, since it belongs to the handshake or to a request. A connection
counts from its first moment, and its deadline is swept like every other.
"""

import asyncio
import logging
import socket
from time import time
from typing import TYPE_CHECKING

from proxy.accept.client import ClientConnection
from proxy.accept.doors import Door
from proxy.accept.tls import is_outdated
from proxy.model.peer import Peer
from proxy.resetting import reset_on_close
from proxy.wire.proxy_protocol import missing_bytes, read_header

if TYPE_CHECKING:
    from proxy.accept.listener import Listener

log = logging.getLogger("rolegate.accept")

# For the event loop's own timer, which knows nothing of who takes what: never, in effect.
SHUTDOWN_S = 86_400.0


class Greeting:
    """
    A connection before its first request; it makes way for a `ClientConnection`.

    It reads from the bare socket, because a transport reads all that there is. `deadline` is the
    monotonic second at which the listener's sweep calls `expire`. `counted_as` is the address whose
    connection this is for now, None where a PROXY header is still to say.
    """

    __slots__ = (
        "_connection",
        "_door",
        "_header",
        "_is_reading",
        "_listener",
        "_socket",
        "counted_as",
        "deadline",
        "peer",
    )

    def __init__(self, listener: "Listener", door: Door, accepted: socket.socket, peer: Peer) -> None:
        self._listener = listener
        self._door = door
        self._socket = accepted
        self._header = b""
        self._is_reading = False
        self._connection: ClientConnection | None = None
        self.peer = peer
        self.counted_as = None if door.needs_header(peer) else peer.address
        self.deadline = listener.now + door.handshake_timeout_s

    def begin(self) -> None:
        """Wait for the header, or go on where none is due."""
        if self._door.needs_header(self.peer):
            self._is_reading = True
            asyncio.get_running_loop().add_reader(self._socket, self._read)
        else:
            self._go_on()

    # Called by the listener.

    def expire(self) -> None:
        """Give up: header or handshake did not come in time."""
        self._listener.handshakes_expired += 1
        self.abort()

    def drain(self) -> None:
        """Close: no request has begun."""
        self.abort()

    def let_go(self) -> bool:
        """Reset the connection, and say so."""
        self.abort()
        return True

    def abort(self) -> None:
        """Reset the connection."""
        reset_on_close(self._socket)
        if self._stop_reading():
            self._socket.close()
            self._listener.dismiss(self)
            return
        try:
            # The transport has the socket; it sees an end, and closes.
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed on the other side, which is as good

    # Inside.

    def _read(self) -> None:
        try:
            while missing := missing_bytes(self._header):
                piece = self._socket.recv(missing)
                if not piece:
                    self.abort()
                    return
                self._header += piece
            header = read_header(self._header)
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self._listener.headers_failed += 1
            log.debug("a connection from %s was reset: %s", self.peer.address, error)
            self.abort()
            return
        if header.address is not None:
            self.peer = Peer(address=header.address)
        self._stop_reading()
        self._go_on()

    def _stop_reading(self) -> bool:
        """Let go of the socket, and return whether it was ours alone until now."""
        was_reading, self._is_reading = self._is_reading, False
        if was_reading:
            asyncio.get_running_loop().remove_reader(self._socket)
        return was_reading

    def _go_on(self) -> None:
        self._listener.tasks.spawn(self._hand_over(), name="client handshake")

    async def _hand_over(self) -> None:
        loop, tls = asyncio.get_running_loop(), self._door.tls
        connection = self._connection = ClientConnection(self._listener, self._introduce)
        try:
            if tls is None:
                await loop.connect_accepted_socket(lambda: connection, self._socket)
                return
            await loop.connect_accepted_socket(
                lambda: connection,
                self._socket,
                ssl=tls.context,
                # The sweep is there before; this is for a listener that nobody sweeps.
                ssl_handshake_timeout=self._door.handshake_timeout_s + 1,
                # As is this: it would pass while a slow client takes what it was sent before the end.
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except OSError as error:
            self._listener.handshakes_failed += 1
            log.debug("the handshake with %s failed: %s", self.peer.address, error)
        finally:
            if self._connection is not None:
                # It came to nothing, so nobody else tells it that it ended.
                self._connection = None
                connection.connection_lost(None)
                self._listener.dismiss(self)

    def _introduce(self, transport: asyncio.BaseTransport) -> Peer:
        """Make way for the connection, and tell it who its peer is."""
        connection, self._connection = self._connection, None
        assert connection is not None
        self._listener.replace(self, connection)
        if self._door.tls is None:
            return self.peer
        if is_outdated(transport.get_extra_info("ssl_object"), time()):
            self._listener.handshakes_failed += 1
            connection.abort()
        return self._door.secured(self.peer, transport)

    def __repr__(self) -> str:
        return f"<Greeting {self.peer.address}>"
