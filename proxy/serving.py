"""Runs the proxy on uvloop until a signal says stop; SIGHUP reloads."""

import asyncio
import gc
import logging
import signal
from pathlib import Path

import uvloop

from proxy import notify
from proxy.assemble import Proxy
from proxy.errors import ConfigurationError
from proxy.reloading import Reloading
from proxy.settings.schema import Settings
from proxy.tasks import TaskOwner

log = logging.getLogger("rolegate")

# What a request leaves behind is freed by reference counts alone; looking for cycles after every
# 700 new objects, as is the default, costs 4 % of the processor and finds none.
GC_THRESHOLD = (50_000, 20, 50)

# The pieces of large bodies, of up to 256 KiB, are let go soon after they came. glibc gives such memory back
# to the kernel at once, and has it filled with zeros again for the next piece: half of what 1 MiB costs. It
# keeps twice the size of the largest block that was ever mapped and let go (mallopt(3), M_MMAP_THRESHOLD).
LARGE_BLOCK_BYTES = 8 * 1024 * 1024


def run_until_stopped(proxy: Proxy, config: Path) -> int:
    """
    Serve until SIGTERM or SIGINT, and read `config` again on SIGHUP.

    Returns the exit code: 0, or 2 if the ports cannot be had.
    """
    try:
        uvloop.run(_serve(proxy, config))
    except ConfigurationError as error:
        log.error("%s", error)
        return 2
    return 0


def settle_memory() -> None:
    """Take what lives long out of the way of the garbage collector, and keep memory that is let go."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    bytes(LARGE_BLOCK_BYTES)  # mapped, never touched, let go


async def _serve(proxy: Proxy, config: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    tasks = TaskOwner()

    async def apply(settings: Settings) -> None:
        await proxy.reload(settings)

    reloading = Reloading(config, proxy.settings, apply, proxy.reloads)
    loop.add_signal_handler(signal.SIGHUP, reloading.ask)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await proxy.start()
    tasks.spawn(reloading.run(), name="reload")
    settle_memory()
    places, admin = ", ".join(proxy.listener.places), proxy.settings.admin.address
    log.info("listening on %s; metrics and health on %s:%d", places, admin.host, proxy.admin_port)
    notify.ready()
    await stop.wait()
    notify.stopping()
    log.info("stopping: no new connections, finishing what is in flight")
    await tasks.close()
    cut = await proxy.stop()
    heed_no_more_signals()
    log.info("stopped; %d connections had to be reset", cut)


def heed_no_more_signals() -> None:
    """
    Let no signal end the process any more: it is leaving, and its exit code is known.

    The loop gives signals their first meaning back when it closes, and a second SIGTERM would then turn a
    clean end into a death.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
