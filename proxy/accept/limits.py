"""What one client may take of us."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    max_connections: int
    max_header_bytes: int
    max_header_count: int
    max_target_bytes: int
    headers_timeout_s: float
    body_idle_timeout_s: float
    keep_alive_timeout_s: float
    write_idle_timeout_s: float
