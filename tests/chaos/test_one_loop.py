"""Everything at once on one event loop, where tasks, connections and pools can be counted afterwards."""

import asyncio
import gc
import logging
import random
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.chaos import town
from tests.chaos.budget import seeds
from tests.chaos.client import ChaoticClient, Witness
from tests.chaos.ledger import check
from tests.chaos.upstream import ChaoticUpstream, Flapping
from tests.kit.certificates import Authority
from tests.kit.local_proxy import LocalProxy, until
from tests.kit.recorder import RecordingUpstream
from tests.record.audit_trail import read_chain

ON_BOTH_LOOPS = True

SECONDS = 4.0
CLIENTS = 28


class Town:
    """Three endpoints, a proxy before them, and whoever comes."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.witness = Witness()
        self.authority = Authority(folder)
        self.upstreams = [ChaoticUpstream(random.Random(seed + number)) for number in range(3)]
        self.flapping = Flapping(self.upstreams, random.Random(seed + 9))

    async def live(self) -> None:
        async with AsyncExitStack() as stack:
            for upstream in self.upstreams:
                await stack.enter_async_context(upstream)
            proxy = LocalProxy("", listen=town.listen(self.authority))
            proxy.configuration |= {
                "upstreams": town.upstreams(self.upstreams),
                "routes": town.routes(),
                "roles": town.ROLES,
                "rate_limits": town.RATE_LIMITS,
            }
            await stack.enter_async_context(proxy)
            await self.be_chaotic(proxy)
            await self.be_over(proxy)
            await proxy.stop()
            check(read_chain(proxy.audit_path.read_bytes()), self.upstreams, self.witness)

    async def be_chaotic(self, proxy: LocalProxy) -> None:
        ports = [
            int(place.removesuffix(" (TLS)").rpartition(":")[2]) for place in proxy.proxy.listener.places
        ]
        trusting = ssl.create_default_context(cafile=str(self.authority.ca_file))
        clients = [ChaoticClient(number, self.seed, self.witness, tls=trusting) for number in range(CLIENTS)]
        loop = asyncio.get_running_loop()
        end = loop.time() + SECONDS
        async with asyncio.TaskGroup() as group:
            group.create_task(self.flapping.run())
            callers = [
                group.create_task(client.run((ports[0], ports[1]), lambda: loop.time() >= end))
                for client in clients
            ]
            await asyncio.wait(callers)
            self.flapping.is_over = True

    async def be_over(self, proxy: LocalProxy) -> None:
        parts = proxy.proxy
        await until(lambda: parts.listener.connection_count == 0, what="the end of the connections")
        await proxy.until_quiet()
        assert len(parts.environment.streams) == 0
        await until(lambda: not len(parts.environment.streams._open), what="the end of the streams")
        pools = parts.pools.values()
        await until(lambda: all(pool.is_quiet for pool in pools), what="the end of idle connections")
        assert {(pool.busy_count, pool.waiting_count, pool.connecting_count) for pool in pools} == {(0, 0, 0)}
        assert {places.in_flight for _, places in parts.admissions.places()} == {0}
        await until(
            lambda: idle_tasks(parts._tasks._tasks) == {"sweep", "tend the audit sink"}, what="no tasks"
        )


def idle_tasks(tasks: set[asyncio.Task[object]]) -> set[str]:
    """Return the names of tasks; health checks come and go."""
    return {task.get_name() for task in tasks if not task.get_name().startswith("check ")}


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("seed", seeds(1))
async def test_nothing_is_mixed_and_nothing_is_left(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with RecordingUpstream():
        pass  # the first listener makes the loop open a file of its own
    files, tasks = open_files(), len(asyncio.all_tasks())
    here = Town(seed, tmp_path)
    await here.live()
    assert len(asyncio.all_tasks()) == tasks
    await until(lambda: open_files() <= files, what="the end of every file")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    statuses = here.witness.statuses
    assert statuses[200] > 100
    assert here.witness.streamed > 0
    assert statuses.keys() >= {200, 400, 401, 403, 429, 502, 503}, statuses
