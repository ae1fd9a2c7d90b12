"""Runs the supervisor until a signal says stop; SIGHUP reloads."""

import asyncio
import logging
import signal
from pathlib import Path

import uvloop

from proxy import notify
from proxy.errors import ConfigurationError
from proxy.limit.presence import Presence
from proxy.limit.table import Table
from proxy.reloading import Reloading
from proxy.seat import PRESENCE, RATES
from proxy.serving import heed_no_more_signals
from proxy.settings.schema import Settings
from proxy.tasks import TaskOwner
from proxy.workers.supervisor import Supervisor

log = logging.getLogger("rolegate.supervisor")


def supervise_until_stopped(settings: Settings, count: int, config: Path, log_style: str) -> int:
    """
    Serve with `count` workers until SIGTERM or SIGINT, and read `config` again on SIGHUP.

    Returns the exit code: 0, or 2 if the workers cannot serve.
    """
    try:
        uvloop.run(_supervise(settings, count, config, log_style))
    except ConfigurationError as error:
        log.error("%s", error)
        return 2
    return 0


async def _supervise(settings: Settings, count: int, config: Path, log_style: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Made even where there are no limits yet: a reload may bring some.
    rates = Table.create(settings.rate_limit_table.max_entries, is_shared=True)
    assert rates.fd is not None
    presence = Presence.create(count)
    shared = {RATES: rates.fd, PRESENCE: presence.fd}
    supervisor, tasks = Supervisor(settings, count, log_style, shared, presence.clear), TaskOwner()
    reloading = Reloading(config, settings, supervisor.apply, supervisor.reloads)
    loop.add_signal_handler(signal.SIGHUP, reloading.ask)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stopped = tasks.spawn(stop.wait(), name="wait for a signal")
    starting = tasks.spawn(_start(supervisor), name="start the workers")
    await asyncio.wait([stopped, starting], return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        if (error := await starting) is not None:
            raise error
        tasks.spawn(reloading.run(), name="reload")
        _announce(settings, supervisor)
    await stopped
    notify.stopping()
    log.info("stopping: no new connections, finishing what is in flight")
    await tasks.close()
    await supervisor.stop()
    heed_no_more_signals()
    log.info("stopped")


async def _start(supervisor: Supervisor) -> ConfigurationError | None:
    """Start, or return why it cannot: an error of the operator's, which no traceback would explain."""
    try:
        await supervisor.start()
    except ConfigurationError as error:
        return error
    return None


def _announce(settings: Settings, supervisor: Supervisor) -> None:
    admin = settings.admin.address.host
    log.info(
        "listening on %s with %d workers; metrics and health on %s:%d",
        *(", ".join(supervisor.places), supervisor.count, admin, supervisor.admin_port),
    )
    notify.ready()
