"""The process: it says where it listens, and ends with an exit code."""

import signal
import subprocess
import sys

import pytest

from tests.kit.rolegate import RunningProxy

CONFIGURATION: dict[str, object] = {
    "issuers": {},
    "upstreams": {"up": {"url": "http://127.0.0.1:9"}},
    "routes": [{"name": "all", "match": {"paths": ["/**"]}, "upstream": "up", "public": True}],
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(number: signal.Signals) -> None:
    with RunningProxy(CONFIGURATION) as proxy:
        proxy.send_signal(number)
        assert proxy._popen.wait(10) == 0
        assert f"listening on 127.0.0.1:{proxy.port}" in proxy.log_text()
        assert "stopped; 0 connections had to be reset" in proxy.log_text()


def test_a_taken_port_ends_it_with_2() -> None:
    with RunningProxy(CONFIGURATION) as proxy:
        other = RunningProxy({**CONFIGURATION, "listen": {"address": f"127.0.0.1:{proxy.port}"}})
        with pytest.raises(RuntimeError, match="ended with code 2") as caught:
            other.start()
        assert "cannot listen" in str(caught.value)


PIECES_COME_AND_GO = """
import resource
from proxy.serving import settle_memory

def pieces():
    return [b"x" * 262_144 for _ in range(16)]

settle_memory()
pieces()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    pieces()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_memory_of_large_pieces_is_used_again_and_not_asked_for_anew() -> None:
    """Without it each of the pieces costs 64 page faults, more than 18,000 in all."""
    asked = subprocess.run(
        [sys.executable, "-c", PIECES_COME_AND_GO], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(asked.stdout) < 1000
