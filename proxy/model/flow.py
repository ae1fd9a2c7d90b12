"""One request's way through the gate: what the record will say about it."""

from proxy.model.decision import Decision, Reason
from proxy.model.identity import Identity
from proxy.model.request import Request


class Flow:
    """
    What is known of one request so far.

    Times are seconds of the event loop's monotonic clock. `request` is None as long as, or
    because, the request could not be read one way only; then the `claimed_*` fields hold what the
    client wrote. `upstream_address` is where the request was sent last, `failed_addresses` where it
    was sent in vain before. `certificate` is the thumbprint of the client certificate, None without one.
    """

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "certificate",
        "claimed_host",
        "claimed_method",
        "claimed_target",
        "client_address",
        "decision",
        "failed_addresses",
        "identity",
        "reason",
        "request",
        "request_id",
        "started_at",
        "status",
        "upstream_address",
    )

    def __init__(self, request_id: str, client_address: str, started_at: float) -> None:
        self.request_id = request_id
        self.client_address = client_address
        self.started_at = started_at
        self.request: Request | None = None
        self.identity: Identity | None = None
        self.decision: Decision | None = None
        self.certificate: str | None = None
        self.claimed_method = ""
        self.claimed_host = ""
        self.claimed_target = b""
        self.status = 0
        self.reason = Reason.COMPLETED
        self.bytes_in = 0
        self.bytes_out = 0
        self.upstream_address = ""
        self.failed_addresses: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Flow {self.request_id} {self.request!r} status={self.status} {self.reason}>"
