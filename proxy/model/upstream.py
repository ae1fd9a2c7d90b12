"""Where requests are forwarded to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One origin with the limits that hold for it; all times in seconds."""

    name: str
    host: str
    port: int
    max_connections: int
    max_waiting: int
    connect_timeout_s: float
    response_timeout_s: float
    body_idle_timeout_s: float
    keep_alive_s: float

    @property
    def address(self) -> str:
        """Host and port as the audit record names them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
