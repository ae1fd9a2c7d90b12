"""What one client may take of us."""

from dataclasses import dataclass

from proxy.accept.crowd import Networks


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    Sizes in bytes, times in seconds, rates in bytes a second; None for no limit.

    `uncounted` are the proxies whose connections are those of many clients.
    """

    max_connections: int
    max_header_bytes: int
    max_header_count: int
    max_target_bytes: int
    headers_timeout_s: float
    body_idle_timeout_s: float
    keep_alive_timeout_s: float
    write_idle_timeout_s: float
    max_header_line_bytes: int = 20 * 1024
    max_connections_per_client: int | None = None
    max_requests_per_connection: int | None = None
    min_request_rate: int | None = None
    min_response_rate: int | None = None
    rate_window_s: float = 10.0
    uncounted: Networks = ()
