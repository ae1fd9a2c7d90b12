"""The process: it says where it listens, and ends with an exit code."""

import signal

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
