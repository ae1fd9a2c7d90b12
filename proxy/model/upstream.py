"""Where requests are forwarded to. All times in seconds."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

Networks = tuple[IPv4Network | IPv6Network, ...]


class Balance(StrEnum):
    """How requests are spread over the endpoints of an upstream."""

    ROUND_ROBIN = "round-robin"
    LEAST_OUTSTANDING = "least-outstanding"
    CONSISTENT_HASH = "consistent-hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One place that an upstream listens at: `host` and `port`, or the UNIX socket at `path`."""

    host: str = ""
    port: int = 0
    path: str = ""
    is_tls: bool = False

    @property
    def address(self) -> str:
        """The endpoint as records, metrics and messages name it."""
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """What a Host header calls the endpoint if nobody has a better name for it."""
        return "localhost" if self.path else self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a response may take: until its head is there, and between two pieces of its body."""

    response_s: float
    body_idle_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How an endpoint is asked whether it is well; `statuses` empty means any 2xx, no `host` its address."""

    path: str
    host: str | None = None
    interval_s: float = 10.0
    timeout_s: float = 2.0
    healthy_after: int = 2
    unhealthy_after: int = 3
    statuses: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ejection:
    """
    When an endpoint that fails is left alone: `after` failures in a row, at first for `time_s`.

    The time doubles with each ejection in a row up to `max_time_s`. No more than `max_percent` of the
    endpoints, though always one of several, are ejected at a time. `server_errors` makes failures of
    5xx responses.
    """

    after: int = 5
    time_s: float = 10.0
    max_time_s: float = 300.0
    max_percent: int = 50
    server_errors: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """
    How often a request is sent again: `attempts` times, while the budget lasts.

    The budget is `budget_percent` of the requests, with a reserve of `reserve` for bursts.
    """

    attempts: int = 2
    budget_percent: int = 20
    reserve: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How an upstream proves who it is, and how we do; the certificate is always verified."""

    ca_file: Path | None = None
    server_name: str | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    minimum_version: str = "1.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """
    A service with its endpoints and the limits that hold for each of them.

    `max_connections` and `max_waiting` are counted for each endpoint. `denied_networks` are never
    connected to, whatever a name resolves to.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    max_connections: int
    max_waiting: int
    connect_timeout_s: float
    wait_timeout_s: float
    timeouts: Timeouts
    keep_alive_s: float
    balance: Balance = Balance.ROUND_ROBIN
    health: Health | None = None
    ejection: Ejection = Ejection()
    retries: Retries = Retries()
    refresh_s: float = 30.0
    denied_networks: Networks = ()
    tls: Tls = Tls()
