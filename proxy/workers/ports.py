"""
The data port, held for workers that come and go.

A bound socket that does not listen takes no connections. It keeps the port ours while no worker lives,
and says which one the system chose.
"""

import socket
from dataclasses import dataclass

from proxy.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Reserved:
    """A port, and the sockets that hold it on each address of its host."""

    port: int
    sockets: tuple[socket.socket, ...]

    def release(self) -> None:
        """Let others have it."""
        for held in self.sockets:
            held.close()


def reserve(host: str, port: int) -> Reserved:
    """Return the port, one that the system chooses for 0; raise ConfigurationError if it is taken."""
    held: list[socket.socket] = []
    try:
        for family, _, _, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            where = (str(address[0]), port)
            # Two instances could share a port without either noticing: they ask for the same option.
            _bound(family, where, is_shared=False).close()
            held.append(_bound(family, where, is_shared=True))
            port = held[-1].getsockname()[1]
    except OSError as error:
        Reserved(port, tuple(held)).release()
        raise ConfigurationError(f"cannot listen: {error.strerror or error}") from error
    return Reserved(port, tuple(held))


def _bound(family: int, where: tuple[str, int], *, is_shared: bool) -> socket.socket:
    end = socket.socket(family, socket.SOCK_STREAM)
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if is_shared else socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            end.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        end.bind(where)
    except OSError:
        end.close()
        raise
    return end
