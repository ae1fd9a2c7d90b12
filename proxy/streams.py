"""
The exchanges that left HTTP and are open as streams of bytes.

Law: no stream outlives its identity, unless its route says so. Whoever has news of an identity finds
its streams here and ends them; nothing of a stream's bytes is judged again.
"""

import logging
from collections.abc import Callable

from proxy.model.decision import Reason
from proxy.model.identity import Identity
from proxy.tunnel import Tunnel

log = logging.getLogger("rolegate.pipeline")

NEVER = float("inf")


class Stream:
    """
    One open stream: who opened it, on which route, and until when it may stay open.

    `ends_at` is a second of the monotonic clock.
    """

    __slots__ = ("ends_at", "identity", "route", "tunnel")

    def __init__(self, tunnel: Tunnel, route: str, identity: Identity | None, ends_at: float) -> None:
        self.tunnel = tunnel
        self.route = route
        self.identity = identity
        self.ends_at = ends_at

    def __repr__(self) -> str:
        return f"<Stream {self.route} {self.tunnel!r}>"


class Streams:
    """All open streams."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: set[Stream] = set()

    def add(self, stream: Stream) -> None:
        """Keep a stream until both of its connections are closed."""
        self._open.add(stream)

    def sweep(self, now: float) -> None:
        """End what was idle for too long or outlived its identity; called several times a second."""
        for stream in list(self._open):
            try:
                self._look_after(stream, now)
            except Exception:
                # The boundary between streams: without the sweep nothing has a deadline.
                log.exception("%r did not end in order", stream)

    def _look_after(self, stream: Stream, now: float) -> None:
        tunnel = stream.tunnel
        if tunnel.is_over:
            self._open.discard(stream)
        elif now >= stream.ends_at:
            stream.ends_at = NEVER
            tunnel.close(Reason.TOKEN_EXPIRED, now)
        else:
            tunnel.sweep(now)

    def end(self, concerns: Callable[[Stream], bool], reason: Reason) -> int:
        """Reset the streams that news `concerns`, at once; return how many there were."""
        found = [stream for stream in self._open if not stream.tunnel.is_over and concerns(stream)]
        for stream in found:
            stream.tunnel.cut(reason)
        return len(found)

    def __len__(self) -> int:
        return sum(not stream.tunnel.is_over for stream in self._open)

    def __repr__(self) -> str:
        return f"<Streams [{len(self)} open]>"
