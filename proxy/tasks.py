"""Named, owned background tasks: what is spawned is watched, and ends with its owner."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("rolegate.tasks")


class TaskOwner:
    """Holds the tasks it spawned and cancels them when it closes."""

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()  # Any: owners do not look at results

    def spawn(self, coroutine: Coroutine[Any, Any, object], *, name: str) -> asyncio.Task[Any]:
        """Start `coroutine` as a task that this owner will end."""
        # The set keeps the task alive: the event loop itself holds only a weak reference.
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def close(self) -> None:
        """Cancel every task and wait until each has ended."""
        # Again, for what one of them spawned on its way out.
        while tasks := list(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("task `%s` failed", task.get_name(), exc_info=task.exception())

    def __len__(self) -> int:
        return len(self._tasks)

    def __repr__(self) -> str:
        return f"<TaskOwner [{len(self._tasks)} running]>"
