"""Settings become running parts, and end as a whole."""

from pathlib import Path

import pytest
import yaml

from proxy.assemble import Proxy, audiences_on, limits_of, policy_version
from proxy.errors import ConfigurationError
from proxy.settings.convert import routes_of, upstreams_of
from proxy.settings.load import load
from proxy.settings.problem import SettingsError
from proxy.settings.schema import Settings
from proxy.vetting import problems
from tests.kit.local_proxy import LocalProxy, get
from tests.kit.ports import LOOPBACK, answers, free_port
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient

URL = "http://127.0.0.1:9000"


def settings_of(folder: Path, **changes: object) -> Settings:
    """Return the settings of a local proxy with top-level keys replaced."""
    local = LocalProxy(URL)
    for name in ("jwks.json",):
        (folder / name).write_bytes((local.folder / name).read_bytes())
    document = {**local.configuration, "audit": {"file": str(folder / "audit.jsonl")}, **changes}
    local._folder.cleanup()
    path = folder / "rolegate.yaml"
    path.write_text(yaml.safe_dump(document))
    return load(path)


def test_limits_and_times_arrive_where_they_hold(tmp_path: Path) -> None:
    timeouts = {"headers": "1s", "body_idle": "2s", "keep_alive": "3s", "write_idle": "4s"}
    listen = {"max_connections": 5, "max_header_bytes": 6000, "max_header_count": 7, "max_target_bytes": 800}
    listen["max_header_line_bytes"] = 2000
    settings = settings_of(tmp_path, listen={"address": "127.0.0.1:0", "timeouts": timeouts, **listen})
    limits = limits_of(settings.listen)
    assert (limits.max_connections, limits.max_header_bytes, limits.max_header_count) == (5, 6000, 7)
    assert (limits.max_target_bytes, limits.max_header_line_bytes) == (800, 2000)
    assert (limits.headers_timeout_s, limits.body_idle_timeout_s) == (1, 2)
    assert (limits.keep_alive_timeout_s, limits.write_idle_timeout_s) == (3, 4)


def test_the_limits_of_an_upstream_arrive_where_they_hold(tmp_path: Path) -> None:
    times = {"connect": "1s", "response": "2s", "body_idle": "3s", "keep_alive": "4s"}
    given = {"url": URL, "max_connections": 5, "max_waiting": 6, "timeouts": times}
    settings = settings_of(tmp_path, upstreams={"api": given})
    (upstream,) = upstreams_of(settings)
    assert (upstream.name, upstream.endpoints[0].address) == ("api", "127.0.0.1:9000")
    assert (upstream.max_connections, upstream.max_waiting) == (5, 6)
    assert (upstream.connect_timeout_s, upstream.timeouts.response_s) == (1, 2)
    assert (upstream.timeouts.body_idle_s, upstream.keep_alive_s) == (3, 4)


def test_what_a_linter_calls_an_error_does_not_start(tmp_path: Path) -> None:
    roles = {"caller": {"bindings": [{"issuer": "idp"}]}}
    try:
        settings = settings_of(tmp_path, roles=roles)
    except SettingsError:
        return
    assert problems(settings)
    with pytest.raises(SettingsError):
        Proxy(settings)


def test_a_route_narrows_audiences_and_never_widens_them(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    route = routes_of(settings)[0]
    assert audiences_on(route, settings) == {"idp": frozenset({"https://api.example.com"})}


def test_the_policy_version_changes_with_the_policy_and_not_with_the_rest(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    same = settings_of(tmp_path, listen={"address": "127.0.0.1:0", "max_connections": 7})
    other = settings_of(
        tmp_path, roles={"caller": {"bindings": [{"issuer": "idp", "claims": {"team": "b"}}]}}
    )
    assert policy_version(settings) == policy_version(same)
    assert policy_version(settings) != policy_version(other)


@pytest.mark.parametrize("taken", ["listen", "admin"])
async def test_a_taken_port_is_said_and_leaves_nothing_open(taken: str) -> None:
    async with RecordingUpstream() as upstream:
        other_port = free_port()
        proxy = LocalProxy(upstream.url)
        for key in ("listen", "admin"):
            port = upstream.port if key == taken else other_port
            proxy.configuration[key] = {"address": f"{LOOPBACK}:{port}"}
        with pytest.raises(ConfigurationError, match="cannot listen"):
            await proxy.start()
        assert not answers(other_port)
        assert len(proxy.proxy._tasks) == 0


async def test_readiness_says_what_is_missing() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        assert proxy.proxy.missing() == []
        proxy.audit_path.unlink()
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get())).status == 503
        assert proxy.proxy.missing() == ["the audit sink takes no records"]
        proxy.proxy.recorder.tend()
        assert proxy.proxy.missing() == []
        await proxy.stop()
        assert "shutting down" in proxy.proxy.missing()


async def test_the_state_is_shown_without_secrets() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        assert repr(proxy.proxy) == f"<Proxy port={proxy.proxy.port} admin_port={proxy.proxy.admin_port}>"


def test_what_is_wrong_with_an_upstream_shows_before_anything_starts(tmp_path: Path) -> None:
    tls = {"url": "https://a.example", "tls": {"ca_file": "none.pem"}}
    upstreams = {"api": {"url": "http://169.254.169.254"}, "tls": tls}
    found = problems(settings_of(tmp_path, upstreams=upstreams))
    assert [(problem.key, problem.message.split(":")[0]) for problem in found] == [
        ("upstreams.api", "endpoint `169.254.169.254"),
        ("upstreams.tls", "`tls.ca_file`"),
    ]
