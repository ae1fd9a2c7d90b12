"""Where parts meet that were each tested alone: streams, endpoints, limits, TLS and what a reload leaves."""

import asyncio
import gc
import json
import os
import re
import socket
import ssl
import weakref
from pathlib import Path

import pytest

from proxy.model.decision import Reason
from tests.journeys.test_endpoints import several
from tests.journeys.test_upgrade import ANSWER, HANDSHAKE, ROUTE, SMUGGLED, answering_with
from tests.kit.certificates import Authority
from tests.kit.local_proxy import HOST, LocalProxy, get, public_jwk, request, until
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream
from tests.kit.scripted import Response, ScriptedClient

ON_BOTH_LOOPS = True


async def switching(connection: RecordedConnection) -> None:
    await connection.request()
    await connection.write(ANSWER)
    while await connection.read() not in (b"", b"bye"):
        pass


async def reset_at_once(connection: RecordedConnection) -> None:
    await connection.request()
    connection.reset()


async def test_an_endpoint_that_only_ever_switches_comes_back_from_its_ejection() -> None:
    is_well = asyncio.Event()

    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        if not is_well.is_set():
            connection.reset()
            return
        await connection.write(ANSWER)
        while await connection.read():
            pass

    async with RecordingUpstream(switching) as steady, RecordingUpstream(script) as shaky:
        settings = several(steady.url, shaky.url, ejection={"after": 1, "time": "50ms"})
        async with LocalProxy("", upstream=settings, route=ROUTE) as proxy:
            standing = proxy.proxy.pools["api"].pools[1].standing
            assert standing is not None
            while standing.ejections == 0:
                async with ScriptedClient(proxy.port) as client:
                    assert (await client.request(HANDSHAKE)).status == 101
            is_well.set()
            await until(lambda: standing.state == "half-open", what="the end of the ejection")
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(HANDSHAKE)).status == 101
                assert len(shaky.connections) == 2
                assert standing.state == "good"


async def test_a_tls_client_that_leaves_a_stream_without_a_farewell_is_gone(tmp_path: Path) -> None:
    """What it sent last need not be all, and the record blames nobody else."""
    authority = Authority(tmp_path)
    listen = {"tls": {"certificates": [authority.server(HOST).files]}}
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    ends: list[bytes | None] = []

    async def script(connection: RecordedConnection) -> None:
        await connection.request()
        await connection.write(ANSWER)
        try:
            while await connection.read():
                pass
            ends.append(b"")
        except ConnectionResetError:
            ends.append(None)

    async with (
        RecordingUpstream(script) as upstream,
        LocalProxy(upstream.url, route=ROUTE, listen=listen) as proxy,
        ScriptedClient(proxy.port, tls=context) as client,
    ):
        assert (await client.request(HANDSHAKE)).status == 101
        with socket.socket(fileno=os.dup(client.writer.get_extra_info("socket").fileno())) as beneath:
            beneath.shutdown(socket.SHUT_WR)
        await until(lambda: len(proxy.records("outcome")) == 1, what="the outcome")
        await until(lambda: bool(ends), what="the end at the upstream")
        assert ends == [None]
        assert proxy.reasons[-1] == ("outcome", "client-gone")


ENDS = {
    "the client resets": "client-gone",
    "the client ends": "completed",
    "the upstream resets": "upstream-reset",
    "the upstream ends": "completed",
    "nobody speaks": "stream-idle",
    "its token expires": "token-expired",
    "news of its identity": "token-expired",
    "we stop": "shutting-down",
}


@pytest.mark.parametrize("how", ENDS)
async def test_a_stream_gives_back_all_that_it_had_however_it_ends(how: str) -> None:
    idle = "300ms" if how == "nobody speaks" else "1h"
    route = {**ROUTE, "max_in_flight": 1, "timeouts": {"idle": idle}}
    listen = {"timeouts": {"shutdown": "100ms"}}
    async with (
        RecordingUpstream(switching) as upstream,
        LocalProxy(upstream.url, route=route, listen=listen) as proxy,
    ):
        before, streams = Owned(proxy), proxy.proxy.environment.streams
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(HANDSHAKE)).status == 101
            async with ScriptedClient(proxy.port) as other:  # it is a stream that has the only place
                assert (await other.request(HANDSHAKE)).status == 503
            [connection] = upstream.connections
            if how == "the client resets":
                client.reset()
            elif how == "the client ends":
                client.end_sending()
            elif how == "the upstream resets":
                connection.reset()
            elif how == "the upstream ends":
                await client.send(b"bye")
            elif how == "its token expires":
                [stream] = streams._open
                stream.ends_at = 0.0
            elif how == "news of its identity":
                streams.end(lambda stream: True, Reason.TOKEN_EXPIRED)
            elif how == "we stop":
                await proxy.stop()
            await client.read_to_end()
        await until(lambda: len(proxy.records("outcome")) == 1, what="the outcome")
        await before.are_all(proxy)
        assert proxy.reasons == [
            ("decision", "allowed"),
            ("decision", "overloaded"),
            ("outcome", ENDS[how]),
        ]


NO_STREAMS = {
    "a 200": (answering_with(OK), 200, "completed"),
    "a 101 that is none": (
        answering_with(ANSWER.replace(b"websocket", b"h2c", 1)),
        502,
        "upstream-malformed",
    ),
    "a reset": (reset_at_once, 502, "upstream-reset"),
    "no answer": (answering_with(b""), 504, "upstream-timeout"),
    "no client": (answering_with(b""), 0, "client-gone"),
    "no record": (answering_with(ANSWER), 503, ""),
}


@pytest.mark.parametrize("how", NO_STREAMS)
async def test_a_handshake_that_fails_gives_back_its_place(how: str) -> None:
    script, status, reason = NO_STREAMS[how]
    upstream_settings = {"timeouts": {"response": "300ms" if how == "no answer" else "1h"}}
    async with (
        RecordingUpstream(script) as upstream,
        LocalProxy(upstream.url, route={**ROUTE, "max_in_flight": 1}, upstream=upstream_settings) as proxy,
    ):
        before = Owned(proxy)
        if how == "no record":
            proxy.audit_path.unlink()
        async with ScriptedClient(proxy.port) as client:
            await client.send(HANDSHAKE + SMUGGLED)
            if status:
                assert (await client.read_response()).status == status
            else:
                await until(lambda: len(upstream.requests) == 1, what="the request")
                client.reset()
            assert await client.read_to_end() == b""
        await before.are_all(proxy)
        assert b"smuggled" not in upstream.received
        if how == "no record":
            assert upstream.byte_count == 0
            await until(lambda: proxy.proxy.recorder.is_available, what="the audit file")
        outcomes = [("outcome", reason or "audit-unavailable")]
        await until(lambda: proxy.reasons[-1:] == outcomes, what="the outcome")
        assert [kind for kind, _ in proxy.reasons if kind != "gap"] == ["decision", "outcome"]


async def test_a_body_too_large_tells_nothing_before_the_credential_is_judged() -> None:
    """Routes differ in the bodies that they take; who may not know them has to get the same answer."""
    gate = asyncio.Event()

    async def keys(connection: RecordedConnection) -> None:
        await connection.request()
        await gate.wait()
        body = json.dumps({"keys": [public_jwk()]}).encode()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with RecordingUpstream() as upstream, RecordingUpstream(keys) as issuer:
        proxy = LocalProxy(upstream.url, route={"max_body": 10})
        issuers = proxy.configuration["issuers"]
        assert isinstance(issuers, dict)
        del issuers["idp"]["jwks_file"]
        issuers["idp"] |= {"jwks_url": f"{issuer.url}/keys", "required": False}
        data = request("POST", "/", b"Transfer-Encoding: chunked") + b"14\r\n" + b"a" * 20 + b"\r\n"
        async with proxy, ScriptedClient(proxy.port) as good, ScriptedClient(proxy.port) as bad:
            await good.send(data)
            await bad.send(re.sub(rb".{8}(?=\r\nTransfer)", b"AAAAAAAA", data))
            connections = proxy.proxy.listener._connections
            await until(
                lambda: sum(getattr(of._current, "bytes_in", 0) for of in connections) == 40, what="both"
            )
            assert proxy.reasons == []
            gate.set()
            assert (await bad.read_response()).status == 401
            assert (await good.read_response()).status == 413
        assert upstream.byte_count == 0


async def test_a_stream_that_ended_holds_no_configuration() -> None:
    """Nobody looks for cycles for a long time, and each reload would leave one more table of routes."""
    async with (
        RecordingUpstream(switching) as upstream,
        RecordingUpstream() as another,
        LocalProxy(upstream.url, route=ROUTE) as proxy,
    ):
        gc.collect()
        gc.disable()
        try:
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(HANDSHAKE)).status == 101
                before = weakref.ref(proxy.proxy.environment.holder.current.lease)
                pool = proxy.proxy.pools["api"]
                settings = proxy.proxy.settings
                changed = settings.upstreams["api"].model_copy(update={"url": another.url})
                await proxy.proxy.reload(settings.model_copy(update={"upstreams": {"api": changed}}))
                assert (await exchange_get(proxy)).status == 200
                await client.send(b"still there")
                await until(lambda: upstream.received.endswith(b"still there"), what="the bytes")
                assert (len(proxy.proxy._retired), pool.busy_count) == (1, 1)
            await until(lambda: before() is None, what="the end of the old configuration")
            await until(lambda: len(proxy.proxy._retired) == 0, what="the end of its pool")
            assert pool.is_quiet
        finally:
            gc.enable()


async def test_a_route_that_a_reload_removed_is_no_label_any_more() -> None:
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, route={"max_in_flight": 1}) as proxy,
    ):
        settings = proxy.proxy.settings
        assert (await exchange_get(proxy)).status == 200
        assert [name for name, _ in proxy.proxy.admissions.places()] == ["api"]
        others = tuple(route for route in settings.routes if route.name != "api")
        await proxy.proxy.reload(settings.model_copy(update={"routes": others}))
        assert list(proxy.proxy.admissions.places()) == []


async def exchange_get(proxy: LocalProxy) -> Response:
    async with ScriptedClient(proxy.port) as client:
        return await client.request(get("/a"))


class Owned:
    """What a proxy has that it has to give back."""

    def __init__(self, proxy: LocalProxy) -> None:
        self._now = self._of(proxy)

    async def are_all(self, proxy: LocalProxy) -> None:
        """Return when it has no more than that, with its streams and its idle connections gone."""
        try:
            await until(lambda: self._of(proxy) == self._now, what="the end of it all")
        except TimeoutError:
            assert self._of(proxy) == self._now

    @staticmethod
    def _of(proxy: LocalProxy) -> dict[str, int]:
        running = proxy.proxy
        pools = [pool for forwarder in running.pools.values() for pool in forwarder.pools]
        return {
            "requests": running.environment.in_flight,
            "places": sum(places.in_flight for _, places in running.admissions.places()),
            "client connections": running.listener.connection_count,
            "clients": len(running.listener.crowd),
            "upstream connections": sum(pool.busy_count for pool in pools),
            "connecting": sum(pool.connecting_count for pool in pools),
            "waiting": sum(pool.waiting_count for pool in pools),
            "streams": len(running.environment.streams),
        }
