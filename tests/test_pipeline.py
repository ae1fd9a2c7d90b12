"""
A request whatever breaks inside: fail closed, with an answer, one record, and nothing left waiting.

The faults are put into the real parts of a running proxy, one at a time.
"""

import asyncio
from collections.abc import Callable

import pytest

from proxy.model.decision import Reason
from tests.kit.local_proxy import HOST, LocalProxy, get, request, until
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream
from tests.kit.scripted import ScriptedClient

Break = Callable[[LocalProxy, pytest.MonkeyPatch], None]

ANONYMOUS = f"GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def fail(*arguments: object, **named: object) -> None:
    raise ZeroDivisionError


def passage_of(proxy: LocalProxy) -> object:
    passage = proxy.proxy.environment.holder.current.routes.find(HOST, "/a", "GET")
    assert passage is not None
    return passage


def policy(proxy: LocalProxy, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(passage_of(proxy), "decide", fail)


def identities(proxy: LocalProxy, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("proxy.identify.resolver.Resolver.find", fail)


def reading(proxy: LocalProxy, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("proxy.pipeline.read_request", fail)


def sending(proxy: LocalProxy, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("proxy.relaying.head_pieces", fail)


def acquiring(proxy: LocalProxy, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(proxy.proxy.pools["api"], "acquire", fail)


def responding(proxy: LocalProxy, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("proxy.reply.Reply.head", fail)


BEFORE_FORWARDING = {"policy": policy, "identities": identities, "reading": reading}


@pytest.mark.interpreted
@pytest.mark.parametrize("break_it", BEFORE_FORWARDING.values(), ids=BEFORE_FORWARDING.keys())
@pytest.mark.parametrize("pipelined", [False, True])
async def test_a_fault_before_the_decision_is_a_recorded_500(
    break_it: Break, pipelined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        break_it(proxy, monkeypatch)
        async with ScriptedClient(proxy.port) as client:
            await client.send(get("/a") + get("/a") if pipelined else get("/a"))
            response = await client.read_response()
            assert (response.status, response.header("Connection")) == (500, "close")
            assert await client.read_to_end() == b""
        await proxy.until_quiet()
        assert proxy.reasons == [("decision", "internal-error")]
        assert upstream.byte_count == 0


@pytest.mark.interpreted
@pytest.mark.parametrize("break_it", [policy, reading])
async def test_a_fault_in_a_request_that_waited_its_turn_is_answered_too(
    break_it: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins in a callback of the request before it, where no parser stands in between."""
    opened = asyncio.Event()

    async def gated(connection: RecordedConnection) -> None:
        await connection.request()
        await opened.wait()
        await connection.write(OK)

    async with RecordingUpstream(gated) as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(get("/1") + get("/2") + get("/3"))
            await until(lambda: len(upstream.requests) == 1, what="the first request")
            break_it(proxy, monkeypatch)
            opened.set()
            assert (await client.read_response()).status == 200
            assert (await client.read_response()).status == 500
            assert await client.read_to_end() == b""
        await proxy.until_quiet()
        assert len(upstream.requests) == 1
        assert proxy.reasons[-1] == ("decision", "internal-error")


AFTER_THE_DECISION = {"acquiring": acquiring, "sending": sending}


@pytest.mark.interpreted
@pytest.mark.parametrize("break_it", AFTER_THE_DECISION.values(), ids=AFTER_THE_DECISION.keys())
async def test_a_fault_after_the_decision_forwards_nothing(
    break_it: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        break_it(proxy, monkeypatch)
        async with ScriptedClient(proxy.port) as client:
            response = await client.request(get("/a"))
            assert (response.status, response.header("Connection")) == (500, "close")
        await proxy.until_quiet()
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "internal-error")]
        assert upstream.byte_count == 0
        pool = proxy.proxy.pools["api"]
        assert (pool.busy_count, pool.waiting_count) == (0, 0)


@pytest.mark.interpreted
async def test_a_fault_while_responding_is_ours_and_not_the_upstreams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        responding(proxy, monkeypatch)
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get("/a"))).status == 500
        await proxy.until_quiet()
        assert proxy.reasons == [("decision", "allowed"), ("outcome", "internal-error")]
        await until(lambda: upstream.open_count == 0, what="the end of the upstream's connection")


ENDS = (OK, b"HTTP/1.1 200 OK\r\n\r\nok")


@pytest.mark.interpreted
@pytest.mark.parametrize("answer", ENDS, ids=["a length", "the end of the connection"])
async def test_a_fault_at_the_end_of_one_response_does_not_hit_the_next_request(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"max_connections": 1}

    async def once(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(answer)

    async with RecordingUpstream(once) as upstream, LocalProxy(upstream.url, upstream=settings) as proxy:
        async with ScriptedClient(proxy.port) as first, ScriptedClient(proxy.port) as second:
            with monkeypatch.context() as patch:
                patch.setattr("proxy.reply.Reply.end", fail)
                await first.send(get("/1"))
                received = await first.read_to_end()
            # A 500, or if it is too late for one, a reset.
            assert received.startswith(b"HTTP/1.1 500 ") or not received.endswith(b"0\r\n\r\n")
            assert (await second.request(get("/2"))).status == 200
        await until(lambda: proxy.proxy.listener.connection_count == 0, what="the end")
        pool = proxy.proxy.pools["api"]
        assert (pool.busy_count, pool.waiting_count) == (0, 0)
        assert [record["reason"] for record in proxy.records("outcome")] == ["internal-error", "completed"]


async def test_without_a_record_nothing_is_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get("/1"))).status == 200
            before = upstream.byte_count
            proxy.audit_path.unlink()
            assert (await client.request(get("/2"))).status == 503
            assert (await client.request(ANONYMOUS)).status == 503
        assert upstream.byte_count == before
        assert proxy.in_flight == 0


async def test_a_body_that_is_too_large_never_beats_a_bad_credential() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, route={"max_body": 10}) as proxy:
        async with ScriptedClient(proxy.port) as client:
            data = request("POST", "/a", body=b"a" * 100)
            assert (await client.request(data.replace(b"Bearer ", b"Bearer x"))).status == 401
        assert upstream.byte_count == 0


@pytest.mark.interpreted
async def test_a_request_keeps_the_configuration_it_started_with() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(request("POST", "/a", b"Content-Length: 3") + b"a")
            await until(lambda: upstream.byte_count > 0, what="the head")
            proxy.proxy.environment.holder.swap(None)  # type: ignore[arg-type]  # whoever looks at it fails
            await client.send(b"bc")
            assert (await client.read_response()).status == 200
        assert proxy.reasons == [("decision", "allowed"), ("outcome", Reason.COMPLETED)]
