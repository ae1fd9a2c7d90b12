"""
Reads the configuration again when somebody asks, and puts it in force whole or not at all.

Files are read and checked on a thread, so that no request waits for it. What fails changes nothing, and
the log says why, with file, line and column. What sockets and files were opened by stays as it was at
the start, and the log names what is different.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from proxy import notify
from proxy.errors import ConfigurationError
from proxy.record.policy_metrics import ReloadCounts
from proxy.settings.listening import ListenSocket
from proxy.settings.load import load
from proxy.settings.problem import SettingsError
from proxy.settings.schema import Settings
from proxy.settings.unsafe import unsafe_options, warn_of
from proxy.vetting import problems

log = logging.getLogger("rolegate.reload")

Apply = Callable[[Settings], Awaitable[None]]

NEEDS_RESTART = (
    ("workers",),
    *(("listen", name) for name in (*ListenSocket.model_fields, "sockets")),
    ("admin",),
    ("audit",),
    ("rate_limit_table",),
)
"""What is opened or started once; a change of it waits for the next start."""


class Reloading:
    """Reloads from `path`, one at a time; `apply` puts settings in force or raises ConfigurationError."""

    __slots__ = ("_apply", "_counts", "_path", "_settings", "_wanted")

    def __init__(self, path: Path, settings: Settings, apply: Apply, counts: ReloadCounts) -> None:
        self._path = path
        self._settings = settings
        self._apply = apply
        self._counts = counts
        self._wanted = asyncio.Event()

    def ask(self) -> None:
        """Have it done soon; whoever asks while one is under way gets another one after it."""
        self._wanted.set()

    async def run(self) -> None:
        """Reload whenever asked, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            notify.reloading()
            try:
                await self.reload()
            finally:
                notify.ready()

    async def reload(self) -> bool:
        """Reload once; return whether the configuration that is written is now in force."""
        began_at = time.monotonic()
        try:
            settings = settle(self._settings, await asyncio.to_thread(_read, self._path))
            await self._apply(settings)
        except ConfigurationError as error:
            self._failed(str(error).splitlines())
            return False
        except Exception:
            # The boundary of the reload: whatever it was, the configuration in force stays so.
            log.exception("reload failed unexpectedly; the configuration in force stays as it is")
            self._counts.failed += 1
            return False
        self._settings = settings
        self._counts.succeeded += 1
        log.info("reloaded `%s` in %.0f ms", self._path, (time.monotonic() - began_at) * 1000)
        warn_of(await asyncio.to_thread(unsafe_options, settings))
        return True

    def _failed(self, causes: list[str]) -> None:
        self._counts.failed += 1
        log.error("reload failed; the configuration in force stays as it is")
        for cause in causes:
            log.error("reload: %s", cause)


def settle(old: Settings, new: Settings) -> Settings:
    """Return `new` with what needs a restart as it is in `old`, after naming it in the log."""
    for path in NEEDS_RESTART:
        if _at(old, path) != _at(new, path):
            log.warning("reload: %s: `%s` changes only by a restart", new.place(*path), new.key(*path))
            new = _with(new, path, _at(old, path))
    return new


def _read(path: Path) -> Settings:
    settings = load(path)
    errors = problems(settings)
    if errors:
        raise SettingsError(errors)
    return settings


def _at(settings: object, path: tuple[str, ...]) -> object:
    for name in path:
        settings = getattr(settings, name)
    return settings


def _with(settings: Settings, path: tuple[str, ...], value: object) -> Settings:
    if len(path) == 1:
        return settings.model_copy(update={path[0]: value})
    section = getattr(settings, path[0]).model_copy(update={path[1]: value})
    return settings.model_copy(update={path[0]: section})
