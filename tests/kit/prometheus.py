"""Debian's Prometheus, scraping the proxy as it would in production, and promtool's opinion of the format."""

import json
import subprocess
import urllib.parse
from collections.abc import Sequence

from tests.kit.plain_http import get, status_of
from tests.kit.ports import LOOPBACK, free_port
from tests.kit.processes import Process
from tests.kit.programs import program

CONFIG = """
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: rolegate
    metrics_path: /metrics
    static_configs:
      - targets: ["{address}:{port}"]
"""


class Prometheus(Process):
    """Scrapes `/metrics` on `target_port` every second."""

    name = "prometheus"
    start_timeout_s = 30.0

    def __init__(self, target_port: int) -> None:
        super().__init__()
        self.target_port = target_port
        self.port = free_port()

    def prepare(self) -> Sequence[str]:
        """Write the configuration."""
        path = self.folder / "prometheus.yml"
        path.write_text(CONFIG.format(address=LOOPBACK, port=self.target_port))
        return [
            program("prometheus"),
            f"--config.file={path}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={LOOPBACK}:{self.port}",
        ]

    def is_ready(self) -> bool:
        """Say whether Prometheus answers queries."""
        return status_of(self.port, "/-/ready") == 200

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each sample of an instant query."""
        status, text = get(self.port, f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        answer = json.loads(text)
        if status != 200:
            raise ValueError(f"query `{expression}`: {answer.get('error', text)}")
        return [(sample["metric"], float(sample["value"][1])) for sample in answer["data"]["result"]]

    def value(self, expression: str) -> float | None:
        """Return the value of the only sample of a query, or None if there is none yet."""
        samples = self.query(expression)
        if len(samples) > 1:
            raise ValueError(f"query `{expression}` has {len(samples)} samples")
        return samples[0][1] if samples else None


def promtool_check(metrics_text: str) -> list[str]:
    """Return what promtool finds wrong with an exposition, line by line."""
    result = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=metrics_text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    lines = (result.stdout + result.stderr).splitlines()
    return lines if result.returncode == 0 else [f"promtool ended with code {result.returncode}", *lines]
