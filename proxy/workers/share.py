"""
What of a configuration belongs to one worker of several.

Limits that protect something outside, the machine's sockets and the upstreams, hold for all workers
together: each gets its part. Times and sizes of one request, and the token cache, which each worker fills
with the same tokens, are the same for all. With one worker nothing is changed.
"""

import os
from pathlib import Path

from proxy.settings.schema import Settings, Upstream


def worker_count(settings: Settings) -> int:
    """Return how many workers are asked for; `auto` is one for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if settings.workers == "auto" else settings.workers


def share_of(settings: Settings, number: int, count: int, *, port: int, node: str) -> Settings:
    """Return the settings of worker `number` of `count`, who share `port` on the host called `node`."""
    address = settings.listen.address._replace(port=port)
    audit = {"file": numbered(settings.audit.file, number), "node": f"{node}/{number}"}
    listen = {"address": address, "max_connections": part(settings.listen.max_connections, count)}
    upstreams = {name: _upstream(upstream, count) for name, upstream in settings.upstreams.items()}
    return settings.model_copy(
        update={
            "listen": settings.listen.model_copy(update=listen),
            "audit": settings.audit.model_copy(update=audit),
            "upstreams": upstreams,
        }
    )


def numbered(path: Path | None, number: int) -> Path | None:
    """Return the audit file of one worker: `audit.jsonl` becomes `audit.0.jsonl`."""
    return None if path is None else path.with_name(f"{path.stem}.{number}{path.suffix}")


def part(whole: int, count: int) -> int:
    """Return one worker's part of a limit, never nothing."""
    return -(-whole // count)


def _upstream(upstream: Upstream, count: int) -> Upstream:
    return upstream.model_copy(
        update={
            "max_connections": part(upstream.max_connections, count),
            "max_waiting": part(upstream.max_waiting, count),
        }
    )
