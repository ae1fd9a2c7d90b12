"""What every request finds around it: what is in force, where it is recorded, what time it is."""

from collections.abc import Callable

from proxy.ids import RequestIds
from proxy.interfaces import Trail
from proxy.live import Holder
from proxy.model.peer import Scheme
from proxy.streams import Streams
from proxy.tasks import TaskOwner
from proxy.wire.forwarded import forwarding_lines

# Clients choose the Host they send; past this many pairs of client and host the memory starts anew.
MAX_REMEMBERED_LINES = 4096


class Environment:
    """
    What all requests share.

    `clock` is monotonic, in seconds. `is_draining` says that the proxy is about to stop, so that
    responses say that their connection closes. `in_flight` counts requests that have not ended,
    `streams` are those of them that left HTTP.
    """

    __slots__ = (
        "_forwarding",
        "clock",
        "holder",
        "ids",
        "in_flight",
        "is_draining",
        "streams",
        "tasks",
        "trail",
    )

    def __init__(self, holder: Holder, trail: Trail, tasks: TaskOwner, clock: Callable[[], float]) -> None:
        self.holder = holder
        self.trail = trail
        self.tasks = tasks
        self.clock = clock
        self.ids = RequestIds()
        self.is_draining = False
        self.in_flight = 0
        self.streams = Streams()
        self._forwarding: dict[tuple[str, bytes, Scheme], bytes] = {}

    def forwarding_lines(
        self, client: str, authority: bytes, scheme: Scheme, chain: tuple[str, ...]
    ) -> bytes:
        """Return the forwarding headers to inject, remembered for the next request of this client."""
        if chain:
            return forwarding_lines(client, authority, scheme, chain)
        lines = self._forwarding.get((client, authority, scheme))
        if lines is None:
            if len(self._forwarding) >= MAX_REMEMBERED_LINES:
                self._forwarding.clear()
            lines = forwarding_lines(client, authority, scheme)
            self._forwarding[client, authority, scheme] = lines
        return lines
