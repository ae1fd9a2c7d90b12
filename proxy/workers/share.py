"""
What of a configuration belongs to one worker of several.

Limits that protect something outside, the machine's sockets and the upstreams, hold for all workers
together: each gets its part. Times and sizes of one request, and the token cache, which each worker fills
with the same tokens, are the same for all. With one worker nothing is changed.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from proxy.settings.addresses import Address
from proxy.settings.listening import ListenSocket
from proxy.settings.schema import Settings
from proxy.settings.syntax import MOST_WORKERS
from proxy.settings.upstreaming import Upstream


def worker_count(settings: Settings) -> int:
    """Return how many workers are asked for; `auto` is one for each core that this process may use."""
    return usable_cores() if settings.workers == "auto" else settings.workers


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return how many cores we may keep busy: those we may run on, within the quota of our group."""
    cores = len(os.sched_getaffinity(0))
    try:
        # A container with two processors' worth of time on a machine of 64 sees all the 64.
        allowed, period = (int(number) for number in quota.read_text().split())
    except (OSError, ValueError):
        return min(cores, MOST_WORKERS)  # `max`: no quota
    return max(1, min(cores, allowed // period, MOST_WORKERS))


def share_of(settings: Settings, number: int, count: int, *, ports: Sequence[int], node: str) -> Settings:
    """
    Return the settings of worker `number` of `count`, on the host called `node`.

    They share `ports`, one for each socket in the order in which they are written, 0 where there is none.

    The supervisor has checked them, so they go without their places in files.
    """
    audit = {"file": numbered(settings.audit.file, number), "node": f"{node}/{number}"}
    listen: dict[str, object] = {"max_connections": part(settings.listen.max_connections, count)}
    if settings.listen.sockets:
        pairs = zip(settings.listen.sockets, ports, strict=True)
        listen["sockets"] = tuple(_with_port(one, port) for one, port in pairs)
    else:
        listen["address"] = _with_port(settings.listen, ports[0]).address
    upstreams = {name: _upstream(upstream, count) for name, upstream in settings.upstreams.items()}
    return settings.without_places().model_copy(
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


def _with_port(one: ListenSocket, port: int) -> ListenSocket:
    if not isinstance(one.address, Address):
        return one
    return one.model_copy(update={"address": one.address._replace(port=port)})


def _upstream(upstream: Upstream, count: int) -> Upstream:
    return upstream.model_copy(
        update={
            "max_connections": part(upstream.max_connections, count),
            "max_waiting": part(upstream.max_waiting, count),
        }
    )
