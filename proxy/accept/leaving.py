"""
Clients that leave while nothing is read of them.

The loop tells of an end only where it reads. A connection whose reading is paused, because its next
request waits for its turn or the upstream does not take its body, is silent about it, and the work for
nobody would go on. The kernel knows, whatever lies unread before the end.
"""

import asyncio
import select
from collections.abc import Collection
from typing import Protocol, TypeVar

# The client closed its direction; that both are closed, or a reset, is told unasked.
_LEFT = getattr(select, "POLLRDHUP", 0)


class Paused(Protocol):
    """A connection on which nothing is read."""

    transport: asyncio.Transport | None


ConnectionT = TypeVar("ConnectionT", bound=Paused)


def departed(connections: Collection[ConnectionT]) -> list[ConnectionT]:
    """Return those connections whose client has closed, reset or half-closed them."""
    if not connections:
        return []
    kernel, asked = select.poll(), {}
    for connection in connections:
        transport = connection.transport
        # Of one that is closing, the number may have been given to another already.
        if transport is not None and not transport.is_closing():
            number = transport.get_extra_info("socket").fileno()
            kernel.register(number, _LEFT)
            asked[number] = connection
    return [asked[number] for number, _ in kernel.poll(0)]
