"""Which dangerous options are found; that they are logged, by processes that serve."""

import signal
from pathlib import Path

import pytest

from proxy.settings.unsafe import unsafe_options
from tests.kit.ports import wait_until
from tests.kit.rolegate import RunningProxy
from tests.settings.files import SMALL, changed, load_text
from tests.test_serving import CONFIGURATION


def test_each_is_found_with_place_key_and_consequence(tmp_path: Path) -> None:
    text = changed(
        '{url: "http://127.0.0.1:9000"}', '{url: "http://127.0.0.1:9000", dns: {unsafe_allow_metadata: true}}'
    )
    settings = load_text(
        tmp_path, f"{text}    unsafe_forward_credential: true\n    unsafe_streams_outlive_token: false\n"
    )
    assert [(it.place.rpartition("yaml:")[2], it.key, it.message) for it in unsafe_options(settings)] == [
        (
            "12:76",
            "upstreams.deployments.dns.unsafe_allow_metadata",
            "connect to link-local and metadata addresses too, where clouds hand out credentials",
        ),
        (
            f"{text.count(chr(10)) + 1}:32",
            "routes.deployments.unsafe_forward_credential",
            "hand the caller's token on to the upstream, which can then act as the caller",
        ),
    ]


def test_there_are_none_by_default(tmp_path: Path) -> None:
    assert unsafe_options(load_text(tmp_path, SMALL)) == []


WARNING = "is switched on: hand the caller's token on to the upstream, which can then act as the caller"


@pytest.mark.parametrize("workers", [1, 2])
def test_they_are_logged_once_at_the_start_and_once_by_each_reload(workers: int) -> None:
    routes: list[dict[str, object]] = CONFIGURATION["routes"]  # type: ignore[assignment]  # as it is written there
    safe = {**CONFIGURATION, "workers": workers}
    unsafe = {**safe, "routes": [{**routes[0], "unsafe_forward_credential": True}]}
    with RunningProxy(unsafe) as proxy:
        assert proxy.log_text().count(WARNING) == 1
        assert f"WARNING {proxy.config_path}:" in proxy.log_text()
        assert f"`routes.all.unsafe_forward_credential` {WARNING}" in proxy.log_text()
        reload(proxy, 1)
        wait_until(lambda: proxy.log_text().count(WARNING) == 2, what="the second warning")
        proxy.write_config(safe)
        reload(proxy, 2)
        reload(proxy, 3)
        assert proxy.log_text().count(WARNING) == 2


def reload(proxy: RunningProxy, number: int) -> None:
    proxy.send_signal(signal.SIGHUP)
    wait_until(lambda: proxy.log_text().count("reloaded `") == number, what="the reload", timeout_s=20.0)
