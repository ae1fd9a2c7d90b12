import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from proxy.control.admin import Admin
from tests.kit.plain_http import get
from tests.kit.ports import answers
from tests.kit.scripted import Response, ScriptedClient


class Running:
    """An admin port of which the test says what is missing."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.registry = CollectorRegistry()
        self.admin = Admin(self.registry, lambda: self.missing)
        self.port = 0

    async def get(self, target: str) -> tuple[int, str]:
        return await asyncio.to_thread(get, self.port, target)

    async def send(self, data: bytes) -> Response:
        async with ScriptedClient(self.port) as client:
            return await client.request(data)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    running = Running()
    running.port = await running.admin.start("127.0.0.1", 0)
    yield running
    await running.admin.stop()


async def test_it_is_alive_even_where_it_is_not_ready(running: Running) -> None:
    running.missing = ["issuer `gitlab` has no keys: not fetched yet"]
    assert await running.get("/livez") == (200, "ok\n")


async def test_readiness_names_everything_that_is_missing(running: Running) -> None:
    assert await running.get("/readyz") == (200, "ok\n")
    running.missing = ["issuer `gitlab` has no keys: not fetched yet", "the audit sink takes no records"]
    status, text = await running.get("/readyz")
    assert status == 503
    assert text.splitlines() == [f"not ready: {what}" for what in running.missing]
    running.missing = []
    assert await running.get("/readyz") == (200, "ok\n")


@pytest.mark.parametrize(
    ("accept", "content_type", "last"),
    [
        (b"", "text/plain; version=0.0.4; charset=utf-8", b"a_total 3.0\n"),
        (b"Accept: */*\r\n", "text/plain; version=0.0.4; charset=utf-8", b"a_total 3.0\n"),
        (
            b"Accept: application/openmetrics-text; version=1.0.0\r\n",
            "application/openmetrics-text",
            b"# EOF\n",
        ),
    ],
)
async def test_metrics_come_in_the_format_that_was_asked_for(
    running: Running, accept: bytes, content_type: str, last: bytes
) -> None:
    Counter("a", "A.", registry=running.registry).inc(3)
    response = await running.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n" + accept + b"\r\n")
    assert response.status == 200
    assert str(response.header("Content-Type")).startswith(content_type)
    assert b"a_total 3.0\n" in response.body
    if last == b"# EOF\n":
        assert response.body.endswith(last)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1", 404),
        (b"GET /metrics/ HTTP/1.1", 404),
        (b"POST /metrics HTTP/1.1", 405),
        (b"DELETE /readyz HTTP/1.1", 405),
        (b"GET /../metrics HTTP/1.1", 404),
    ],
)
async def test_nothing_else_is_there(running: Running, request_line: bytes, status: int) -> None:
    response = await running.send(request_line + b"\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    assert response.status == status


async def test_after_stop_nobody_answers(running: Running) -> None:
    await running.admin.stop()
    assert not await asyncio.to_thread(answers, running.port)


async def test_what_was_not_started_can_be_stopped() -> None:
    await Admin(CollectorRegistry(), list).stop()


async def test_a_port_in_use_is_an_error_and_leaves_nothing_behind(running: Running) -> None:
    other = Admin(CollectorRegistry(), list)
    with pytest.raises(OSError, match="address already in use"):
        await other.start("127.0.0.1", running.port)
    await other.stop()
