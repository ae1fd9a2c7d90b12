"""
What every contestant shares: its core, and what it has to decide.

Allowed is who shows a token of `ISSUER` for `AUDIENCE` whose `project_id` is `PROJECT` on a protected ref.
rolegate keeps its audit file and its metrics, as it always does; of the others, only those write a log
that are called so.
"""

import os

from tests.bench.credentials import Credentials
from tests.kit.plain_http import status_of
from tests.kit.ports import free_port
from tests.kit.processes import Process

PROXY_CORE = 0
LOAD_CORE = 1
# With two cores the upstream shares the one of the load: what is measured has its own.
UPSTREAM_CORE = 2 if (os.cpu_count() or 1) > 2 else LOAD_CORE


class Peer(Process):
    """A proxy of somebody else's in front of the upstream."""

    core = PROXY_CORE
    checks = True
    """Whether it decides at all."""

    def __init__(self, upstream_port: int, credentials: Credentials) -> None:
        super().__init__()
        self.upstream_port = upstream_port
        self.credentials = credentials
        self.port = free_port()

    def is_ready(self) -> bool:
        """Say whether it answers anything at all."""
        return status_of(self.port, "/api/") is not None
