"""
The limit of open files: raised to what the system allows, and compared with what the configuration asks for.

A socket is an open file. Shells and service managers often start processes with a soft limit of 1,024,
which a proxy reaches long before its own limits, and then it can neither accept nor connect.
"""

import logging
import resource

from proxy.settings.schema import Settings

log = logging.getLogger("rolegate")

# Listening sockets, logs, audit, event loop, key fetches, name resolution.
SPARE = 64


def raise_limit() -> int:
    """Raise the soft limit to the hard one, and return what holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return soft  # an unlimited one above what the kernel allows
    return hard


def needed(settings: Settings) -> int:
    """Return how many files one process may have open by this configuration."""
    upstream = sum(upstream.max_connections for upstream in settings.upstreams.values())
    return settings.listen.max_connections + upstream + SPARE


def warn_if_short(settings: Settings, limit: int) -> None:
    """Say so if the limit is below what the configuration may need."""
    wanted = needed(settings)
    if limit != resource.RLIM_INFINITY and limit < wanted:
        log.warning(
            "this process may have %d files open, but the limits of connections add up to %d; raise the hard"
            " limit (LimitNOFILE=, ulimit -Hn), or lower `listen.max_connections`",
            limit,
            wanted,
        )
