"""The proxy as an operator runs it: the installed command, a configuration file, two ports, an audit file."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tests.kit.plain_http import get, status_of
from tests.kit.ports import LOOPBACK, free_ports
from tests.kit.processes import Process

Configuration = Mapping[str, object]


class RunningProxy(Process):
    """
    One rolegate in a process of its own.

    `configuration` is the YAML document as a mapping; addresses and the audit file are filled in where
    it says nothing. It counts as started when `ready_path` on the admin port answers 200: `/readyz`, or
    `/livez` for a test in which it does not become ready.
    """

    name = "rolegate"

    def __init__(self, configuration: Configuration, *, ready_path: str = "/readyz") -> None:
        super().__init__()
        self.configuration = dict(configuration)
        self.ready_path = ready_path
        self.port, self.admin_port = free_ports(2)

    @property
    def config_path(self) -> Path:
        """The configuration file."""
        return self.folder / "rolegate.yaml"

    @property
    def audit_path(self) -> Path:
        """The audit file."""
        return self.folder / "audit.jsonl"

    def prepare(self) -> Sequence[str]:
        """Write the configuration."""
        self.write_config(self.configuration)
        # The command that was installed beside this interpreter, not one that lies on the path.
        command = Path(sys.executable).with_name("rolegate")
        return [str(command), "serve", "--config", str(self.config_path)]

    def is_ready(self) -> bool:
        """Say whether the admin port says so."""
        return status_of(self.admin_port, self.ready_path) == 200

    def write_config(self, configuration: Configuration) -> None:
        """Replace the configuration file; the running process is told nothing."""
        complete = {
            "audit": {"file": str(self.audit_path)},
            **configuration,
            "listen": self._with_address(configuration, "listen", self.port),
            "admin": self._with_address(configuration, "admin", self.admin_port),
        }
        self.config_path.write_text(yaml.safe_dump(complete, sort_keys=False))

    def audit_records(self) -> list[dict[str, object]]:
        """Return the audit records written so far; a line still being written is left out."""
        if not self.audit_path.exists():
            return []
        return [json.loads(line) for line in self.audit_path.read_bytes().split(b"\n")[:-1]]

    def admin(self, target: str) -> tuple[int, str]:
        """Return status and body of `target` on the admin port."""
        return get(self.admin_port, target)

    def metrics_text(self) -> str:
        """Return what Prometheus would read."""
        return self.admin("/metrics")[1]

    @staticmethod
    def _with_address(configuration: Configuration, key: str, port: int) -> dict[str, object]:
        given = configuration.get(key)
        return {"address": f"{LOOPBACK}:{port}", **(given if isinstance(given, Mapping) else {})}
