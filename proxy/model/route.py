"""Where a request may go."""

from dataclasses import dataclass

from proxy.model.policy import Policy
from proxy.model.rate_limit import RateLimit
from proxy.model.upstream import Timeouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """A path prefix exchanged: so many `segments` go, and `prefix` comes before the rest."""

    segments: int = 0
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    Which requests belong together, where they go and by which policy.

    `hosts`: exact names or one leading `*.` (one label); empty means any host. `paths`: exact,
    `*` for one segment, `**` for the rest. `methods`: empty means the common ones. `audiences`: empty means
    those of the issuer. `max_body_bytes` and `max_in_flight`: None means no limit. `timeouts`: None
    means those of the upstream. `upgrade`: protocols in lower case that a request may change to; it is
    then a stream.
    """

    name: str
    paths: tuple[str, ...]
    policy: Policy
    upstream: str
    hosts: tuple[str, ...] = ()
    methods: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    encoded_slashes: bool = False
    forward_credential: bool = False
    max_body_bytes: int | None = None
    max_in_flight: int | None = None
    rate_limits: tuple[RateLimit, ...] = ()
    timeouts: Timeouts | None = None
    rewrite: Rewrite | None = None
    upgrade: frozenset[str] = frozenset()
    stream_idle_timeout_s: float = 300.0
    streams_outlive_token: bool = False
