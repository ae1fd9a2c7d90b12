"""One admin port for several workers, as Prometheus and an orchestrator see it."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.journeys.trail import configuration
from tests.kit.local_proxy import get, until
from tests.kit.ports import wait_until
from tests.kit.prometheus import Prometheus, promtool_check
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient
from tests.workers.crew import Crew

REQUESTS = 40


@asynccontextmanager
async def busy_crew(folder: Path) -> AsyncIterator[Crew]:
    """Run a crew of which each worker has had some of `REQUESTS` requests."""
    async with RecordingUpstream() as upstream, Crew(configuration(upstream.url, folder)) as crew:
        await ask(crew)
        assert all(crew.chain(number) for number in range(2))
        yield crew


async def ask(crew: Crew, count: int = REQUESTS) -> None:
    for _ in range(count):
        async with ScriptedClient(crew.port) as client:
            assert (await client.request(get())).status == 200


async def text_of(crew: Crew) -> str:
    return await asyncio.to_thread(crew.metrics_text)


def value_of(text: str, sample: str) -> float:
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    assert found is not None, f"{sample} in\n{text}"
    return float(found[1])


async def until_it_says(crew: Crew, what: str) -> None:
    await asyncio.to_thread(
        wait_until, lambda: crew.admin("/readyz")[1] == what, what=f"readiness `{what}`", timeout_s=20.0
    )


def allowed(text: str) -> float:
    return value_of(text, 'rolegate_decisions_total{reason="allowed",route="api"}')


@pytest.mark.component("prometheus", "promtool")
async def test_prometheus_reads_all_workers_as_one_service(tmp_path: Path) -> None:
    async with busy_crew(tmp_path) as crew, Prometheus(crew.admin_port) as prometheus:
        assert promtool_check(await text_of(crew)) == []
        await until(lambda: prometheus.value("up") == 1, what="a scrape", timeout_s=20)

        async def value(expression: str) -> float | None:
            return await asyncio.to_thread(prometheus.value, expression)

        for expression, expected in {
            'rolegate_decisions_total{route="api",reason="allowed"}': REQUESTS,
            'rolegate_request_duration_seconds_count{route="api"}': REQUESTS,
            'rolegate_request_duration_seconds_bucket{route="api",le="+Inf"}': REQUESTS,
            "rolegate_client_connections_accepted_total": REQUESTS,
            'rolegate_audit_records_total{kind="decision"}': REQUESTS,
            "rolegate_token_cache_entries": 2,
            "rolegate_audit_available": 1,
            'rolegate_issuer_keys{issuer="idp"}': 1,
            'count(rolegate_build_info{build=~"interpreted|compiled"})': 1,
            "count(rolegate_policy_info)": 1,
            "sum(rolegate_worker_up)": 2,
            "count(rolegate_worker_up)": 2,
            "sum(rolegate_worker_restarts_total)": 0,
            "count(process_resident_memory_bytes)": 3,
            'process_open_fds{worker="supervisor"} > bool 3': 1,
            'process_start_time_seconds{worker="1"} > bool 1e9': 1,
        }.items():
            assert await value(expression) == expected, expression


async def test_sums_do_not_go_back_when_a_worker_dies(tmp_path: Path) -> None:
    async with busy_crew(tmp_path) as crew:
        assert allowed(await text_of(crew)) == REQUESTS
        pid = crew.pids()[0]
        os.kill(pid, signal.SIGKILL)
        await until(lambda: "worker 0 ended" in crew.log_text(), what="the news")
        text = await text_of(crew)
        assert allowed(text) == REQUESTS
        await until(lambda: crew.pids()[0] != pid, what="the successor", timeout_s=20.0)
        await ask(crew, 10)
        text = await text_of(crew)
        assert allowed(text) == REQUESTS + 10
        assert value_of(text, 'rolegate_worker_restarts_total{worker="0"}') == 1
        assert value_of(text, 'rolegate_worker_up{worker="0"}') == 1


async def test_a_stuck_worker_is_named_and_costs_bounded_time(tmp_path: Path) -> None:
    async with busy_crew(tmp_path) as crew:
        before = await text_of(crew)
        assert await asyncio.to_thread(crew.admin, "/readyz") == (200, "ok\n")
        os.kill(crew.pids()[1], signal.SIGSTOP)
        try:
            began_at = time.monotonic()
            answers = await asyncio.gather(
                *(asyncio.to_thread(crew.admin, path) for path in ("/metrics", "/readyz") * 4)
            )
            assert time.monotonic() - began_at < 8
            assert answers[1] == (503, "not ready: worker 1 does not answer\n")
            assert allowed(answers[0][1]) == allowed(before) == REQUESTS
            assert 'process_open_fds{worker="1"}' not in answers[0][1]
            assert await asyncio.to_thread(crew.admin, "/livez") == (200, "ok\n")
        finally:
            os.kill(crew.pids()[1], signal.SIGCONT)
        assert await asyncio.to_thread(crew.admin, "/readyz") == (200, "ok\n")


async def test_readiness_says_which_worker_lacks_what(tmp_path: Path) -> None:
    async with busy_crew(tmp_path) as crew:
        crew.audit_file(1).unlink()
        crew.audit_file(1).mkdir()

        await until_it_says(crew, "not ready: worker 1: the audit sink takes no records\n")
        assert value_of(await text_of(crew), "rolegate_audit_available") == 0
        crew.audit_file(1).rmdir()
        await until_it_says(crew, "ok\n")


async def test_nobody_else_can_ask_a_worker(tmp_path: Path) -> None:
    """The sockets of workers lie where only the owner of the processes gets."""
    async with busy_crew(tmp_path) as crew:
        line = Path(f"/proc/{crew.pids()[0]}/cmdline").read_text().split("\0")  # noqa: ASYNC240 - no disk
        (path,) = [Path(part.removeprefix("--admin=")) for part in line if part.startswith("--admin=")]
        assert path.is_socket()
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.parent.stat().st_uid == os.getuid()
