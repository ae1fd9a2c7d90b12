"""The limit of open files is what the system allows, and a configuration that needs more is told so."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.open_files import SPARE, needed, warn_if_short
from tests.kit.rolegate import RunningProxy
from tests.test_assemble import settings_of
from tests.test_serving import CONFIGURATION

SCRIPT = """
import resource
from proxy.open_files import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard"), [(64, 128), (128, 128)])
def test_the_soft_limit_is_raised_to_the_hard_one(soft: int, hard: int) -> None:
    script = SCRIPT.format(soft=soft, hard=hard)
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.split() == [str(hard)] * 3


def test_every_connection_that_may_be_open_counts(tmp_path: Path) -> None:
    upstreams = {"api": {"url": "http://127.0.0.1:9", "max_connections": 30}}
    listen = {"address": "127.0.0.1:0", "max_connections": 500}
    settings = settings_of(tmp_path, listen=listen, upstreams=upstreams)
    assert needed(settings) == 500 + 30 + SPARE


def test_a_limit_that_is_too_low_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_of(tmp_path)
    wanted = needed(settings)
    warn_if_short(settings, wanted)
    warn_if_short(settings, resource.RLIM_INFINITY)
    assert caplog.messages == []
    warn_if_short(settings, wanted - 1)
    (message,) = caplog.messages
    assert f"may have {wanted - 1} files open, but the limits of connections add up to {wanted};" in message


def test_serve_raises_it_and_says_at_the_start_what_is_missing() -> None:
    class Limited(RunningProxy):
        def prepare(self) -> list[str]:
            return ["sh", "-c", 'ulimit -S -n 256; ulimit -H -n 512; exec "$@"', "sh", *super().prepare()]

    with Limited({**CONFIGURATION, "listen": {"max_connections": 10_000}}) as proxy:
        limits = Path(f"/proc/{proxy.pid}/limits").read_text()
        (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
        assert line.split()[3:5] == ["512", "512"]
        assert "this process may have 512 files open" in proxy.log_text()
