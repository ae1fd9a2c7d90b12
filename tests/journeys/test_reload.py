"""SIGHUP, with one process and with two: all of a good configuration, nothing of a bad one, nothing lost."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from tests.journeys.trail import configuration
from tests.kit.local_proxy import get, until
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import Response, ScriptedClient
from tests.workers.crew import Crew

BOTH = pytest.mark.parametrize("workers", [1, 2])

NOBODY = {"caller": {"bindings": [{"issuer": "idp", "claims": {"team": "nobody"}}]}}

VERSION = re.compile(r'rolegate_policy_info\{version="([^"]+)"\} 1\.0')


@asynccontextmanager
async def running(config: Mapping[str, object], workers: int) -> AsyncIterator[RunningProxy]:
    async with RunningProxy(config) if workers == 1 else Crew(config, workers=workers) as proxy:
        yield proxy


async def reload(proxy: RunningProxy, config: Mapping[str, object], *, says: str = "reloaded `") -> None:
    """Replace the configuration, ask for a reload, and wait for what the log says of it."""
    proxy.write_config({**config, **({"workers": proxy.count} if isinstance(proxy, Crew) else {})})
    await hang_up(proxy, says=says)


async def hang_up(proxy: RunningProxy, *, says: str) -> None:
    before = proxy.log_text().count(says)
    proxy.send_signal(signal.SIGHUP)
    await until(lambda: proxy.log_text().count(says) > before, what=says, timeout_s=20.0)


async def metrics_of(proxy: RunningProxy) -> str:
    return await asyncio.to_thread(proxy.metrics_text)


class Steady:
    """Clients that keep their connections and forgive nothing."""

    def __init__(self) -> None:
        self.responses: list[Response] = []
        self.asked: list[int] = []  # beside each response: how often `more` had been called by then
        self.calls = 0
        self.failures: list[Exception] = []

    async def ask(self, port: int) -> None:
        try:
            async with ScriptedClient(port) as client:
                while True:
                    calls = self.calls
                    self.responses.append(await client.request(get("/load")))
                    self.asked.append(calls)
        except (OSError, EOFError) as error:
            self.failures.append(error)

    async def more(self, count: int) -> list[int]:
        """Return the statuses of the next responses, which were not under way before."""
        self.calls += 1
        start, calls = len(self.responses), self.calls
        await until(lambda: self.asked[start:].count(calls) >= count, what="responses", timeout_s=20.0)
        new = zip(self.responses[start:], self.asked[start:], strict=True)
        return [response.status for response, asked in new if asked == calls]


@asynccontextmanager
async def steady_load(port: int, clients: int = 8) -> AsyncIterator[Steady]:
    steady = Steady()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(steady.ask(port)) for _ in range(clients)]
        try:
            yield steady
        finally:
            for task in tasks:
                task.cancel()


@BOTH
async def test_no_request_and_no_connection_is_lost(workers: int, tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path)
        async with running(config, workers) as proxy, steady_load(proxy.port) as load:
            await load.more(50)
            upstream_connections = len(upstream.connections)
            for number in range(5):
                routes = config["routes"]
                assert isinstance(routes, list)
                routes.append(
                    {
                        "name": f"more-{number}",
                        "match": {"paths": [f"/more/{number}"]},
                        "upstream": "api",
                        "public": True,
                    }
                )
                await reload(proxy, config)
                assert set(await load.more(50)) == {200}
            assert load.failures == []
            assert {response.status for response in load.responses} == {200}
            # The pool of an upstream that did not change goes on with the connections that it had.
            assert len(upstream.connections) - upstream_connections < 8
            assert 'rolegate_reloads_total{result="success"} 5.0' in await metrics_of(proxy)
            assert "rolegate_client_connections_accepted_total 8.0" in await metrics_of(proxy)


@BOTH
async def test_what_was_taken_away_is_refused_on_connections_and_tokens_that_are_known(
    workers: int, tmp_path: Path
) -> None:
    """A remembered token brings no roles from the bindings of before."""
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path)
        async with running(config, workers) as proxy, steady_load(proxy.port) as load:
            assert set(await load.more(50)) == {200}
            before = VERSION.findall(await metrics_of(proxy))
            await reload(proxy, {**config, "roles": NOBODY})
            assert set(await load.more(50)) == {403}
            after = VERSION.findall(await metrics_of(proxy))
            assert len(before) == len(after) == 1
            assert before != after
            await reload(proxy, config)
            assert set(await load.more(50)) == {200}
            assert load.failures == []


@BOTH
async def test_a_bad_configuration_changes_nothing_and_the_log_says_where_it_is_bad(
    workers: int, tmp_path: Path
) -> None:
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path)
        async with running(config, workers) as proxy, steady_load(proxy.port) as load:
            await load.more(20)
            before = VERSION.findall(await metrics_of(proxy))
            proxy.config_path.write_text("roles:\n  caller: {}\nlisten: {adress: 1}\n")
            await hang_up(proxy, says="listen.adress")
            assert f"reload: {proxy.config_path}:3:10: listen.adress: unknown key" in proxy.log_text()
            assert f"reload: {proxy.config_path}:2:3: roles.caller" in proxy.log_text()
            assert set(await load.more(50)) == {200}
            assert VERSION.findall(await metrics_of(proxy)) == before
            assert 'rolegate_reloads_total{result="failure"} 1.0' in await metrics_of(proxy)
            await reload(proxy, {**config, "roles": NOBODY})
            assert set(await load.more(20)) == {403}
            assert load.failures == []


@BOTH
async def test_what_only_shows_when_parts_are_built_changes_nothing_either(
    workers: int, tmp_path: Path
) -> None:
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path)
        async with running(config, workers) as proxy, steady_load(proxy.port) as load:
            (tmp_path / "jwks.json").write_text('{"keys": []}')
            await reload(proxy, {**config, "roles": NOBODY}, says="`jwks_file` of issuer `idp` has no keys")
            assert set(await load.more(50)) == {200}
            assert 'rolegate_reloads_total{result="failure"} 1.0' in await metrics_of(proxy)
            assert load.failures == []


@BOTH
async def test_what_needs_a_restart_is_named_and_the_rest_is_done(workers: int, tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path)
        async with running(config, workers) as proxy:
            changed = {
                **config,
                "roles": NOBODY,
                "listen": {"address": "127.0.0.1:1", "max_header_count": 7},
                "admin": {"address": "127.0.0.1:2"},
                "audit": {"file": str(tmp_path / "elsewhere.jsonl")},
            }
            proxy.config_path.write_text(yaml.safe_dump({**changed, "workers": 3}))
            await hang_up(proxy, says="reloaded `")
            for key in ("workers", "listen.address", "admin", "audit"):
                assert re.search(rf":\d+:\d+: `{key}` changes only by a restart", proxy.log_text()), key
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(get())).status == 403
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(get("/", *[b"A: b"] * 8))).status == 431
            assert not (tmp_path / "elsewhere.jsonl").exists()


@BOTH
async def test_a_request_ends_with_the_upstream_it_started_with(workers: int, tmp_path: Path) -> None:
    opened = asyncio.Event()

    async def slowly(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await opened.wait()
            await connection.write(OK)

    async with RecordingUpstream(slowly) as old, RecordingUpstream() as new:
        config = configuration(old.url, tmp_path)
        async with running(config, workers) as proxy, ScriptedClient(proxy.port) as client:
            await client.send(get())
            await until(lambda: len(old.requests) == 1, what="the request")
            await reload(proxy, {**config, "upstreams": {"api": {"url": new.url}}})
            async with ScriptedClient(proxy.port) as other:
                assert (await other.request(get())).status == 200
            assert len(new.requests) == 1
            assert old.open_count == 1
            opened.set()
            assert (await client.read_response()).status == 200
            await until(lambda: old.open_count == 0, what="the end of what nobody uses any more")
            assert (await client.request(get())).status == 200
            assert (len(old.requests), len(new.requests)) == (1, 2)


@BOTH
async def test_many_requests_for_a_reload_end_with_what_was_written_last(
    workers: int, tmp_path: Path
) -> None:
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path)
        async with running(config, workers) as proxy, ScriptedClient(proxy.port) as client:
            for number in range(20):
                roles = NOBODY if number % 2 else config["roles"]
                more = {"workers": workers} if workers > 1 else {}
                proxy.write_config({**config, **more, "roles": roles})
                proxy.send_signal(signal.SIGHUP)
                await asyncio.sleep(0.003)

            async with asyncio.timeout(20):
                while (await client.request(get())).status != 403:
                    pass
            assert proxy.is_running


async def test_a_successor_has_the_configuration_in_force_and_not_what_the_file_says_by_now(
    tmp_path: Path,
) -> None:
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path)
        async with Crew(config) as crew:
            await reload(crew, {**config, "roles": NOBODY})
            loaded = "rolegate_policy_loaded_timestamp_seconds"
            (since,) = re.findall(rf"^{loaded} (\S+)$", await metrics_of(crew), re.MULTILINE)
            crew.write_config({**config, "workers": 2})
            pid = crew.pids()[0]
            os.kill(pid, signal.SIGKILL)
            await until(lambda: crew.pids()[0] != pid, what="the successor", timeout_s=20.0)
            for _ in range(20):
                async with ScriptedClient(crew.port) as client:
                    assert (await client.request(get())).status == 403
            text = await metrics_of(crew)
            assert len(VERSION.findall(text)) == 1
            assert re.findall(rf"^{loaded} (\S+)$", text, re.MULTILINE) == [since]


async def test_a_worker_that_dies_around_a_reload_comes_back_with_the_new_configuration(
    tmp_path: Path,
) -> None:
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path)
        async with Crew(config) as crew:
            pid = crew.pids()[1]
            os.kill(pid, signal.SIGKILL)
            await until(lambda: "worker 1 ended" in crew.log_text(), what="the news")
            await reload(crew, {**config, "roles": NOBODY})
            await until(lambda: crew.pids()[1] != pid, what="the successor", timeout_s=20.0)
            for _ in range(20):
                async with ScriptedClient(crew.port) as client:
                    assert (await client.request(get())).status == 403
