"""Everything at once on a proxy in processes of its own: reloads, kills, an end under load."""

import asyncio
import os
import random
import re
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.besieged import CLIENTS, Besieged, Siege
from tests.chaos.budget import seeds
from tests.chaos.ledger import check
from tests.chaos.upstream import ChaoticUpstream
from tests.kit.local_proxy import until

BOTH = pytest.mark.parametrize("workers", [1, 2])

SECONDS = 2.0
MIB = 1024 * 1024
# What the allocator keeps, and tables that grow up to a limit: by far less than one leak in each request.
EXPECTED = re.compile(r"reload|ended \(signal 9\); starting it again")
MAX_GROWTH = 6 * MIB


@asynccontextmanager
async def besieged(seed: int, folder: Path, workers: int) -> AsyncGenerator[Siege]:
    upstreams = [ChaoticUpstream(random.Random(seed + number)) for number in range(3)]
    async with AsyncExitStack() as stack:
        for upstream in upstreams:
            await stack.enter_async_context(upstream)
        proxy = await stack.enter_async_context(Besieged(upstreams, folder, workers=workers))
        yield Siege(seed, proxy, upstreams)


async def stop_under_load(siege: Siege, *, kills: int = 0) -> None:
    """SIGTERM in the middle of everything: the end is in order."""
    async with siege.under_load():
        await siege.answers(50)
        siege.proxy.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(siege.proxy._popen.wait, 30)
    assert code == 0
    log = siege.proxy.log_text()
    assert log.count("starting it again") == kills * (siege.proxy.count > 1), log[-2000:]
    assert "Traceback" not in log, log[max(0, log.index("Traceback") - 500) :][:3000]
    # A configuration that cannot be loaded is an error, and was asked for.
    errors = [line for line in log.splitlines() if " ERROR " in line and not EXPECTED.search(line)]
    assert not errors, errors[:5]


@BOTH
@pytest.mark.parametrize("seed", seeds(2))
async def test_reloads_under_load_leave_nothing_behind(seed: int, workers: int, tmp_path: Path) -> None:
    async with besieged(seed, tmp_path, workers) as siege:
        proxy = siege.proxy
        at_start = await proxy.fewest_files()
        await siege.reloading(SECONDS)
        await proxy.until_quiet()
        after_first, resident = await proxy.fewest_files(), proxy.resident()
        assert all(count <= at_start[pid] + 2 for pid, count in after_first.items()), (at_start, after_first)
        await siege.reloading(SECONDS)
        await proxy.until_quiet()
        after_second = await proxy.fewest_files()
        assert all(count <= after_first[pid] for pid, count in after_second.items()), (
            after_first,
            after_second,
        )
        growth = {pid: now - resident[pid] for pid, now in proxy.resident().items()}
        assert max(growth.values()) < MAX_GROWTH, growth
        await stop_under_load(siege)
        check(proxy.all_records(), siege.upstreams, siege.witness)
        assert siege.witness.streamed > 0


@BOTH
@pytest.mark.parametrize("seed", seeds(3))
async def test_who_is_killed_leaves_a_record_of_all_that_was_forwarded(
    seed: int, workers: int, tmp_path: Path
) -> None:
    kills = 3
    async with besieged(seed, tmp_path, workers) as siege:
        proxy = siege.proxy
        async with siege.under_load():
            for _ in range(kills):
                await siege.answers(50)
                await kill_one(siege)
            await siege.answers(50)
        await proxy.until_quiet()
        await stop_under_load(siege, kills=kills)
        check(proxy.all_records(), siege.upstreams, siege.witness, may_lack_outcome=kills * CLIENTS)


async def kill_one(siege: Siege) -> None:
    """Kill a process that serves, and return when it has a successor."""
    proxy = siege.proxy
    number, pid = siege.dice.choice(sorted(proxy.pids().items()))
    if proxy.count == 1:
        await asyncio.to_thread(proxy.kill)
        await asyncio.to_thread(proxy.restart)
    else:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: proxy.pids()[number] != pid, what="the successor", timeout_s=20.0)
