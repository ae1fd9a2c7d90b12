"""
What goes upstream of a request: its head with our lines last, and the body that came too early.

Law: the head is built from the target that the policy saw, or from what the route makes of it, which
is on record too; and nothing of it exists before the decision to forward is on record.
"""

from proxy.environment import Environment
from proxy.interfaces import Client
from proxy.live import Live
from proxy.model.identity import Identity
from proxy.model.request import Request
from proxy.model.route import Route
from proxy.wire.reading import HeaderBlock
from proxy.wire.rewrite import rewritten_target

# A request body that comes before there is a connection for it waits; past this the client has to wait too.
MAX_EARLY_BODY_BYTES = 64 * 1024


class EarlyBody:
    """
    The pieces of a request's body that came before they could be sent on.

    They stay after `take`, and what follows can be added by `keep`, so that the request can be sent
    again; past the limit all are let go. `is_large` says that it is reached.
    """

    __slots__ = ("_bytes", "_client", "_pieces")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._pieces: list[bytes] = []
        self._bytes = 0

    @property
    def is_large(self) -> bool:
        """Whether there is more than may be kept for long."""
        return self._bytes > MAX_EARLY_BODY_BYTES

    def add(self, piece: bytes) -> None:
        """Keep a piece that waits to be sent, and ask the client to wait if there are many."""
        self._pieces.append(piece)
        self._bytes += len(piece)
        if self.is_large:
            self._client.pause_request()

    def keep(self, piece: bytes) -> "EarlyBody | None":
        """Keep a piece that is being sent, and return this, or None if it would be too much."""
        self._pieces.append(piece)
        self._bytes += len(piece)
        return None if self.is_large else self

    def take(self) -> list[bytes]:
        """Return what was kept, and let the client go on."""
        if self.is_large:
            self._client.resume_request()
        return self._pieces


def forwarded_lines(
    environment: Environment,
    live: Live,
    request: Request,
    block: HeaderBlock,
    identity: Identity | None,
    request_id: str,
) -> tuple[bytes, ...]:
    """Return the pieces of the lines that we add: who asked, for whom, and under which id."""
    return (
        environment.forwarding_lines(request.client, request.authority, block.scheme, block.chain),
        b"" if identity is None else identity.header_lines,
        live.request_id_header,
        b": ",
        request_id.encode(),
        b"\r\n",
    )


def head_pieces(
    route: Route, request: Request, block: HeaderBlock, trace_lines: bytes, added: tuple[bytes, ...]
) -> list[bytes]:
    """Return the pieces of the head, in order."""
    target = b"" if route.rewrite is None else rewritten_target(route.rewrite, request.target)
    return block.upstream_lines(
        request, trace_lines, added, with_credential=route.forward_credential, target=target
    )
