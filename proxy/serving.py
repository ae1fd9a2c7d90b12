"""Runs the proxy on uvloop until a signal says stop."""

import asyncio
import gc
import logging
import signal

import uvloop

from proxy.assemble import Proxy
from proxy.errors import ConfigurationError

log = logging.getLogger("rolegate")

# What a request leaves behind is freed by reference counts alone; looking for cycles after every
# 700 new objects, as is the default, costs 4 % of the processor and finds none.
GC_THRESHOLD = (50_000, 20, 50)


def run_until_stopped(proxy: Proxy) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code: 0, or 2 if the ports cannot be had."""
    try:
        uvloop.run(_serve(proxy))
    except ConfigurationError as error:
        log.error("%s", error)
        return 2
    return 0


async def _serve(proxy: Proxy) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await proxy.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    admin = proxy.settings.admin.address
    log.info(
        "listening on %s; metrics and health on %s:%d",
        ", ".join(proxy.listener.places),
        admin.host,
        proxy.admin_port,
    )
    await stop.wait()
    log.info("stopping: no new connections, finishing what is in flight")
    cut = await proxy.stop()
    log.info("stopped; %d connections had to be reset", cut)
