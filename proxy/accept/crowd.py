"""How many connections each client has open."""

from ipaddress import IPv4Network, IPv6Network, ip_address

from proxy.accept.interfaces import Presence
from proxy.model.network import client_network

Networks = tuple[IPv4Network | IPv6Network, ...]


class Crowd:
    """
    Counts connections by client, an IPv6 client by its /64; holds no more than there are connections.

    Everybody is counted, also while there is no limit, so that one can come with a new configuration. With a
    `presence` other processes serve the same clients, and what they count is counted too.
    """

    __slots__ = ("_counts", "_presence", "refused")

    def __init__(self, presence: Presence | None = None) -> None:
        self._counts: dict[str, int] = {}
        self._presence = presence
        self.refused = 0

    def enter(self, address: str, limit: int | None, uncounted: Networks) -> bool:
        """
        Count a connection from `address`, or return False if its client has `limit` already.

        The proxies in `uncounted` bring the connections of many clients, and the other end of a UNIX
        socket, which has no address, is whoever may open its file: neither meets the limit.
        """
        client = client_network(address)
        count, presence = self._counts.get(client, 0), self._presence
        cell = 0 if presence is None else presence.cell_of_client(client)
        if limit is not None:
            total = count if presence is None else presence.total(cell)
            if total >= limit and not _is_of_many(address, uncounted):
                self.refused += 1
                return False
        self._counts[client] = count + 1
        if presence is not None:
            presence.add(cell, 1)
        return True

    def leave(self, address: str) -> None:
        """Strike off a connection that entered."""
        client = client_network(address)
        count = self._counts.pop(client)
        if count > 1:
            self._counts[client] = count - 1
        if self._presence is not None:
            self._presence.add(self._presence.cell_of_client(client), -1)

    def __len__(self) -> int:
        return len(self._counts)

    def __repr__(self) -> str:
        return f"<Crowd [{len(self)} clients, {self.refused} refused]>"


def _is_of_many(address: str, uncounted: Networks) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return True
    return any(parsed in network for network in uncounted)
