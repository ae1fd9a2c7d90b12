"""
Keeps the workers: starts them, brings back those that die, reloads all or none, ends in order.

Law: at most one process for each number, so that each audit chain has one writer. A worker serves the
configuration in force and no other; it gets it from here, not from the file, which may have changed
since. No worker outlives the supervisor, and none is ended but by its id.
"""

import asyncio
import logging
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from proxy.administration import Admin
from proxy.control.pages import Pages
from proxy.errors import ConfigurationError
from proxy.listening import Shared, close_shared, open_shared
from proxy.record.policy_metrics import ReloadCounts
from proxy.seat import listening_at
from proxy.settings.addresses import Address
from proxy.settings.schema import Settings
from proxy.tasks import TaskOwner
from proxy.workers.backoff import Backoff
from proxy.workers.channel import Message, Order
from proxy.workers.gathering import Gathering
from proxy.workers.ports import Reserved, reserve
from proxy.workers.share import share_of
from proxy.workers.vigil import FAREWELL_S
from proxy.workers.worker import Worker, WorkerError

log = logging.getLogger("rolegate.supervisor")

# Starting an interpreter takes half a second on an idle machine.
START_S = 60.0

# A stuck worker must not keep a reload, and those who wait for it, for ever.
STAGE_S = 30.0
COMMIT_S = 10.0


class Supervisor:
    """
    `count` workers with one configuration; `descriptors` are open files that each of them is given.

    `forget` is called with the number of each worker that has ended, whatever it left in them.
    """

    def __init__(
        self,
        settings: Settings,
        count: int,
        log_style: str,
        descriptors: Mapping[str, int] | None = None,
        forget: Callable[[int], None] | None = None,
    ) -> None:
        self.settings = settings
        self.count = count
        self.port = 0
        self.admin_port = 0
        self.workers: dict[int, Worker] = {}
        self.restarts = [0] * count
        self.reloads = ReloadCounts()
        self._log_style = log_style
        self._descriptors = dict(descriptors or {})
        self._forget = forget
        self._loaded_at = time.time()
        self._tasks = TaskOwner()
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._gathering = Gathering(self._own_registry(), self._tasks)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._gathering)
        self._admin = Admin(Pages(registry, self.missing, self._gathering.look))
        # By the position of the socket: ports that each worker binds, and sockets that all are given.
        self._reserved: dict[int, Reserved] = {}
        self._shared: Shared = {}
        self._folder = tempfile.TemporaryDirectory(prefix="rolegate-", ignore_cleanup_errors=True)

    async def start(self) -> None:
        """Open the admin port and start every worker; raise ConfigurationError if one cannot serve."""
        try:
            self._take_places()
            self.admin_port = await self._admin.start(*self.settings.admin.address)
            await self._start_all()
        except OSError as error:
            await self.stop()
            raise ConfigurationError(f"cannot listen: {error.strerror or error}") from error
        except ConfigurationError:
            await self.stop()
            raise

    def _take_places(self) -> None:
        for at, one in enumerate(self.settings.listen.every_socket):
            if isinstance(one.address, Address):
                self._reserved[at] = reserve(*one.address)
        self.port = next((reserved.port for reserved in self._reserved.values()), 0)
        self._shared = open_shared(self.settings)
        for at, opened in self._shared.items():
            for number, (shared, _) in enumerate(opened):
                self._descriptors[listening_at(at, number)] = shared.fileno()

    @property
    def places(self) -> list[str]:
        """Where the workers listen, as people write it."""
        return [
            str(address._replace(port=self._reserved[at].port) if isinstance(address, Address) else address)
            for at, address in enumerate(one.address for one in self.settings.listen.every_socket)
        ]

    async def stop(self) -> None:
        """End all workers in order, then the rest; kill what is left at the end of its time."""
        self._stopping.set()
        # Before the workers stop: once the last of them has, nobody can connect any more.
        close_shared(self._shared)
        for worker in self.workers.values():
            worker.tell(Message(order=Order.STOP))
        if self._keepers:
            patience_s = self.settings.listen.timeouts.shutdown + FAREWELL_S
            await asyncio.wait(self._keepers, timeout=patience_s)
        for worker in self.workers.values():
            log.error("worker %d (pid %d) did not stop in time; killing it", worker.number, worker.pid)
            worker.kill()
        for worker in list(self.workers.values()):
            await worker.ended()
        await self._admin.stop()
        await self._tasks.close()
        for reserved in self._reserved.values():
            reserved.release()
        self._folder.cleanup()

    async def apply(self, settings: Settings) -> None:
        """Put `settings` in force in every worker, or raise ConfigurationError and change nothing."""
        self._settled.clear()
        try:
            await self._apply(settings)
        finally:
            self._settled.set()

    def missing(self) -> list[str]:
        """Return what keeps the service from being ready."""
        stopping = ["shutting down"] if self._stopping.is_set() else []
        return stopping + self._gathering.missing(range(self.count))

    async def _start_all(self) -> None:
        first = [asyncio.get_running_loop().create_future() for _ in range(self.count)]
        self._keepers = [
            self._tasks.spawn(self._keep(number, first[number]), name=f"keep worker {number}")
            for number in range(self.count)
        ]
        for failure in await asyncio.gather(*first):
            if failure:
                raise ConfigurationError(failure)

    async def _keep(self, number: int, first: "asyncio.Future[str]") -> None:
        """Have one worker of this number running until the end; `first` gets the failure of its start."""
        backoff = Backoff()
        while not self._stopping.is_set():
            began_at = time.monotonic()
            cause = await self._live(number, first)
            if not self._stopping.is_set():
                wait_s = backoff.after(time.monotonic() - began_at)
                log.error("worker %d ended (%s); starting it again in %g s", number, cause, wait_s)
                await self._rest(wait_s)
                self.restarts[number] += 1

    async def _live(self, number: int, first: "asyncio.Future[str]") -> str:
        """Have a worker live its life, and return why it ended."""
        try:
            worker = await Worker.start(
                number, Path(self._folder.name), self._log_style, self._descriptors, self._tasks
            )
        except OSError as error:
            # No memory, no process ids: either may be there a moment later.
            cause = f"cannot start a process: {error.strerror}"
            _tell(first, cause)
            return cause
        _tell(first, await self._serve(worker))
        code = await worker.ended()
        self._ended(worker)
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    async def _rest(self, seconds: float) -> None:
        """Wait, but not past the beginning of the end."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _serve(self, worker: Worker) -> str:
        """Give a worker the configuration in force; return why it cannot serve it, empty if it does."""
        await self._settled.wait()
        if self._stopping.is_set():
            worker.kill()
            return "stopping"
        # From here no await until it is told: a reload that begins now has to find it among the others.
        self.workers[worker.number] = worker
        self._gathering.workers[worker.number] = worker
        told = worker.tell(self._order(Order.SERVE, self.settings, worker.number, self._loaded_at))
        try:
            await worker.answer_to(told, START_S)
        except WorkerError as error:
            log.error("worker %d cannot serve: %s", worker.number, error)
            worker.kill()
            return str(error)
        worker.is_serving = True
        log.info("worker %d serves (pid %d)", worker.number, worker.pid)
        return ""

    def _ended(self, worker: Worker) -> None:
        self.workers.pop(worker.number, None)
        self._gathering.ended(worker.number)
        if self._forget is None:
            return
        try:
            self._forget(worker.number)
        except Exception:
            # The boundary of what workers share: the next one has to be started all the same.
            log.exception("what worker %d left behind could not be cleared", worker.number)

    async def _apply(self, settings: Settings) -> None:
        # Not those who leave, which may take long: their successors start with what is in force then.
        workers = [worker for worker in self.workers.values() if not worker.is_leaving]
        loaded_at = time.time()
        staged = await asyncio.gather(
            *(
                worker.ask(self._order(Order.STAGE, settings, worker.number, loaded_at), STAGE_S)
                for worker in workers
            ),
            return_exceptions=True,
        )
        failures = [str(result) for result in staged if isinstance(result, BaseException)]
        if failures:
            for worker in workers:
                worker.tell(Message(order=Order.DISCARD))
            raise ConfigurationError("\n".join(dict.fromkeys(failures)))
        # The point of no return: whoever starts from now on starts with this one.
        self.settings, self._loaded_at = settings, loaded_at
        await asyncio.gather(*(self._commit(worker, loaded_at) for worker in workers))

    async def _commit(self, worker: Worker, loaded_at: float) -> None:
        try:
            await worker.ask(Message(order=Order.COMMIT, loaded_at=loaded_at), COMMIT_S)
        except WorkerError as error:
            # It will not serve by a configuration that nobody else has: its successor gets the right one.
            log.error("worker %d did not follow the reload: %s; killing it", worker.number, error)
            worker.kill()

    def _order(self, order: Order, settings: Settings, number: int, loaded_at: float) -> Message:
        node = settings.audit.node or platform.node()
        sockets = self.settings.listen.every_socket
        ports = [self._reserved[at].port if at in self._reserved else 0 for at in range(len(sockets))]
        share = share_of(settings, number, self.count, ports=ports, node=node)
        return Message(order=order, settings=share, loaded_at=loaded_at)

    def _own_registry(self) -> CollectorRegistry:
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        registry.register(self.reloads)
        registry.register(self)
        return registry

    def collect(self) -> "list[GaugeMetricFamily | CounterMetricFamily]":
        """Return how the workers do, as metrics."""
        up = GaugeMetricFamily("rolegate_worker_up", "1 while the worker serves.", labels=["worker"])
        restarts = CounterMetricFamily(
            "rolegate_worker_restarts", "Times the worker was started again after its end.", labels=["worker"]
        )
        for number in range(self.count):
            worker = self.workers.get(number)
            up.add_metric([str(number)], worker is not None and worker.is_serving)
            restarts.add_metric([str(number)], self.restarts[number])
        return [up, restarts]

    def __repr__(self) -> str:
        return f"<Supervisor [{len(self.workers)} of {self.count} workers]>"


def _tell(first: "asyncio.Future[str]", failure: str) -> None:
    if not first.done():
        first.set_result(failure)
