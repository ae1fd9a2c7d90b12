"""The proxy in processes of its own among chaotic clients and upstreams, with signals sent at any moment."""

import asyncio
import random
import re
import signal
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.chaos import town
from tests.chaos.client import ChaoticClient, Witness
from tests.chaos.upstream import ChaoticUpstream, Flapping
from tests.journeys.trail import configuration
from tests.kit.certificates import Authority
from tests.kit.local_proxy import until
from tests.kit.ports import free_ports
from tests.workers.crew import Crew

CLIENTS = 28

# All of them count something that is under way; the first word is the name of the metric.
GAUGES = re.compile(
    r"^(rolegate_(?:client_connections|open_streams|upstream_connections|upstream_waiting_requests"
    r"|route_requests_in_flight))(?:\{[^}]*\})? ([0-9.e+]+)$",
    re.MULTILINE,
)

BAD = (
    "listen: [",
    "roles:\n  caller: {}\nlisten: {adress: 1}\n",
    "",
    "issuers: {idp: {url: https://a.example, audiences: []}}\n",
)


class Besieged(Crew):
    """One process, or a supervisor with its workers, on a plain port and one with TLS."""

    def __init__(self, upstreams: list[ChaoticUpstream], folder: Path, *, workers: int) -> None:
        self.authority = Authority(folder)
        super().__init__({}, workers=workers)
        self.port, self.admin_port, self.tls_port = free_ports(3)
        self.configuration |= configuration(
            "",
            folder,
            listen=town.listen(self.authority, plain_port=self.port, tls_port=self.tls_port),
            upstreams=town.upstreams(upstreams),
            routes=town.routes(),
            roles=town.ROLES,
            rate_limits=town.RATE_LIMITS,
        )

    def is_ready(self) -> bool:
        """Say whether all serve, and their ids are known."""
        return super().is_ready() and len(self.pids()) == self.count

    def pids(self) -> dict[int, int]:
        """Return the process id of each process that serves."""
        return super().pids() if self.count > 1 else {0: self.pid}

    def audit_file(self, number: int) -> Path:
        """Return the audit file of one process."""
        return super().audit_file(number) if self.count > 1 else self.audit_path

    def open_files(self) -> dict[int, int]:
        """Return how many files each process has open."""
        return {pid: len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.pids().values()}

    def resident(self) -> dict[int, int]:
        """Return the resident bytes of each process."""
        found = {}
        for pid in self.pids().values():
            status = Path(f"/proc/{pid}/status").read_text()
            found[pid] = int(status.partition("VmRSS:")[2].split()[0]) * 1024
        return found

    def under_way(self) -> dict[str, float]:
        """Return the gauges that are not 0."""
        counts: dict[str, float] = {}
        for name, value in GAUGES.findall(self.metrics_text()):
            counts[name] = counts.get(name, 0.0) + float(value)
        assert len(counts) == 5, counts
        return {name: value for name, value in counts.items() if value}

    async def until_quiet(self) -> None:
        """Return when nothing is under way and no connection is left in a pool."""
        loop = asyncio.get_running_loop()
        end, left = loop.time() + 20, await asyncio.to_thread(self.under_way)
        while left:
            assert loop.time() < end, left
            await asyncio.sleep(0.1)
            left = await asyncio.to_thread(self.under_way)

    async def fewest_files(self) -> dict[int, int]:
        """Return how many files are open when no health check is under way."""
        fewest = self.open_files()
        for _ in range(10):
            await asyncio.sleep(0.03)
            for pid, count in self.open_files().items():
                fewest[pid] = min(fewest[pid], count)
        return fewest

    async def reload_at_random(self, dice: random.Random) -> None:
        """Reload files good and bad, with pools that stay and pools that go, until cancelled."""
        try:
            while True:
                await asyncio.sleep(dice.choice([0.02, 0.2, 0.4]))
                if dice.random() < 0.4:
                    self.config_path.write_text(dice.choice(BAD))
                else:
                    self.write_config(self.with_limit(dice.choice([5, 6])))
                self.send_signal(signal.SIGHUP)
        finally:
            self.write_config(self.configuration)
            self.send_signal(signal.SIGHUP)

    def with_limit(self, max_connections: int) -> Mapping[str, object]:
        """Return the configuration with other pools."""
        upstreams = self.configuration["upstreams"]
        assert isinstance(upstreams, dict)
        changed = {name: {**one, "max_connections": max_connections} for name, one in upstreams.items()}
        return {**self.configuration, "upstreams": changed}

    @staticmethod
    def _with_address(configuration: Mapping[str, object], key: str, port: int) -> dict[str, object]:
        given = configuration.get(key)
        if isinstance(given, dict) and "sockets" in given:
            return dict(given)
        return Crew._with_address(configuration, key, port)


class Siege:
    """Clients and upstreams around one proxy, and what they saw."""

    def __init__(self, seed: int, proxy: Besieged, upstreams: list[ChaoticUpstream]) -> None:
        self.dice = random.Random(seed)
        self.proxy = proxy
        self.upstreams = upstreams
        self.witness = Witness()
        trusting = ssl.create_default_context(cafile=str(proxy.authority.ca_file))
        self.clients = [ChaoticClient(at, seed, self.witness, tls=trusting) for at in range(CLIENTS)]

    @asynccontextmanager
    async def under_load(self) -> AsyncGenerator[None]:
        """Let everybody run until the block is done, and end what they began."""
        is_over = False
        flapping = Flapping(self.upstreams, self.dice)
        ports = (self.proxy.port, self.proxy.tls_port)
        async with asyncio.TaskGroup() as group:
            group.create_task(flapping.run())
            for client in self.clients:
                group.create_task(client.run(ports, lambda: is_over))
            try:
                yield
            finally:
                is_over = flapping.is_over = True

    async def answers(self, count: int) -> None:
        """Return when `count` further requests were answered by an upstream."""
        goal = self.witness.statuses[200] + count
        await until(lambda: self.witness.statuses[200] >= goal, what=f"{count} answers", timeout_s=30.0)

    async def reloading(self, seconds: float) -> None:
        """Reload at random for a while, under load."""
        async with self.under_load(), asyncio.TaskGroup() as group:
            task = group.create_task(self.proxy.reload_at_random(self.dice))
            await asyncio.sleep(seconds)
            await self.answers(50)
            task.cancel()
