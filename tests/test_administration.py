import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from proxy import administration
from proxy.administration import Admin
from proxy.control.pages import Pages
from proxy.errors import ConfigurationError
from tests.kit.local_proxy import until
from tests.kit.plain_http import get
from tests.kit.ports import answers
from tests.kit.scripted import Response, ScriptedClient


class Running:
    """An admin port of which the test says what is missing, and how long it looks for it."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.registry = CollectorRegistry()
        self.may_look = asyncio.Event()
        self.may_look.set()
        self.looks = 0
        self.admin = Admin(Pages(self.registry, lambda: self.missing, self.look))
        self.port = 0

    async def look(self) -> None:
        self.looks += 1
        await self.may_look.wait()

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
    await Admin(Pages(CollectorRegistry(), list)).stop()


async def test_a_port_in_use_is_an_error_and_leaves_nothing_behind(running: Running) -> None:
    other = Admin(Pages(CollectorRegistry(), list))
    with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{running.port}.*[Aa]ddress already in use"):
        await other.start("127.0.0.1", running.port)
    await other.stop()


async def test_head_is_answered_like_get_without_the_body(running: Running) -> None:
    async with ScriptedClient(running.port) as client:
        await client.send(
            b"HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n"
            b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        received = await client.read_to_end()
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert received.count(b"Content-Length: 3\r\n") == 2
    assert received.count(b"ok\n") == 1


@pytest.mark.parametrize(
    ("version", "line", "stays"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive\r\n", True),
    ],
)
async def test_a_connection_serves_as_many_requests_as_its_client_wants(
    running: Running, version: bytes, line: bytes, stays: bool
) -> None:
    request = b"GET /livez HTTP/%b\r\nHost: a\r\n%b\r\n" % (version, line)
    async with ScriptedClient(running.port) as client:
        assert (await client.request(request)).status == 200
        if stays:
            assert (await client.request(request)).status == 200
        else:
            assert await client.is_closed()


async def test_a_refused_body_is_not_waited_for(running: Running) -> None:
    async with ScriptedClient(running.port) as client:
        response = await client.request(
            b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\nabc"
        )
        assert (response.status, response.header("Allow")) == (405, "GET, HEAD")
        assert await client.is_closed()


async def test_what_cannot_be_read_is_refused_and_ends_the_connection(running: Running) -> None:
    async with ScriptedClient(running.port) as client:
        response = await client.request(b"GET /livez\x00 HTTP/1.1\r\n\r\n")
        assert response.status == 400
        assert await client.is_closed()


async def test_who_stops_in_the_middle_of_a_head_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(administration, "LIMITS", replace(administration.LIMITS, headers_timeout_s=0.1))
    running = Running()
    running.port = await running.admin.start("127.0.0.1", 0)
    async with ScriptedClient(running.port) as client:
        await client.send(b"GET /livez HTTP/1.1\r\n")
        assert b" 408 " in await client.read_to_end()
    await running.admin.stop()


async def test_a_page_that_cannot_be_made_is_a_500_and_not_the_end(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def describe(self) -> list[object]:
            return []

        def collect(self) -> list[object]:
            raise RuntimeError("a number went missing")

    running.registry.register(Broken())  # type: ignore[arg-type]  # broken in one more way
    async with ScriptedClient(running.port) as client:
        assert (await client.request(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")).status == 500
        assert (await client.request(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
    assert "a number went missing" in caplog.text


async def test_nothing_goes_on_for_a_client_that_left(running: Running) -> None:
    running.may_look.clear()
    async with ScriptedClient(running.port) as client:
        await client.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: running.looks == 1, what="the look")
        assert len(running.admin._tasks) == 2  # the sweep, and the answer
    await until(lambda: len(running.admin._tasks) == 1, what="the end of the answer")


async def test_a_stop_breaks_off_what_takes_too_long(running: Running) -> None:
    running.may_look.clear()
    async with ScriptedClient(running.port) as client:
        await client.send(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: running.looks == 1, what="the look")
        await running.admin.stop()
        assert await client.read_to_end() == b""
    assert len(running.admin._tasks) == 0


async def test_a_unix_socket_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    admin = Admin(Pages(CollectorRegistry(), list, for_supervisor=True))
    await admin.start_on_socket(path)
    assert path.stat().st_mode & 0o777 == 0o600
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /families HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"HTTP/1.1 200 OK\r\n" in await reader.read()
    writer.close()
    await writer.wait_closed()
    await admin.stop()
    assert not path.exists()
