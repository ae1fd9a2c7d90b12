"""
The audit trail of a proxy in a process of its own, which is killed at any moment and lied to.

The witness is an upstream that keeps every byte it gets.
"""

import asyncio
import random
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.journeys.trail import (
    chain_of,
    configuration,
    ids_of,
    ids_seen_by,
    load,
)
from tests.kit.local_proxy import HOST, bearer, get, request, until
from tests.kit.ports import free_port
from tests.kit.programs import program
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import ScriptedClient
from tests.record.audit_trail import read_chain


async def until_more_than(byte_count: int, upstream: RecordingUpstream) -> None:
    await until(lambda: upstream.byte_count > byte_count, what="the first request")


# kill -9


async def test_a_kill_loses_no_record_of_a_request_that_the_upstream_saw(tmp_path: Path) -> None:
    dice = random.Random(20261122)
    async with RecordingUpstream() as upstream, RunningProxy(configuration(upstream.url, tmp_path)) as proxy:
        for _ in range(6):
            before = upstream.byte_count
            async with load(proxy, clients=24):
                await until_more_than(before, upstream)
                await asyncio.sleep(dice.uniform(0.0, 0.7))
                await asyncio.to_thread(proxy.kill)
                await asyncio.sleep(0.05)
            whole = proxy.audit_path.read_bytes().rpartition(b"\n")[0] + b"\n"
            recorded = set(ids_of(read_chain(whole), "decision"))
            assert ids_seen_by(upstream) <= recorded
            # The chain goes on behind it, whatever the last line looked like.
            await asyncio.to_thread(proxy.restart)
        assert len(ids_seen_by(upstream)) > 500
        chain_of(proxy.audit_path)


@pytest.mark.component("wrk")
async def test_a_kill_under_a_flood_loses_no_record(tmp_path: Path) -> None:
    dice = random.Random(7)
    async with RecordingUpstream() as upstream, RunningProxy(configuration(upstream.url, tmp_path)) as proxy:
        for _ in range(3):
            before = upstream.byte_count
            flood = await asyncio.create_subprocess_exec(
                *(program("wrk"), "-t1", "-c64", "-d20s", "-H", bearer().decode().strip()),
                *("-H", f"Host: {HOST}", f"http://127.0.0.1:{proxy.port}/flood"),
                stdout=subprocess.DEVNULL,
            )
            try:
                await until_more_than(before, upstream)
                await asyncio.sleep(dice.uniform(0.05, 0.6))
                await asyncio.to_thread(proxy.kill)
            finally:
                flood.terminate()
                await asyncio.wait_for(flood.wait(), 10)
            await asyncio.sleep(0.1)
            whole = proxy.audit_path.read_bytes().rpartition(b"\n")[0] + b"\n"
            assert ids_seen_by(upstream) <= set(ids_of(read_chain(whole), "decision"))
            await asyncio.to_thread(proxy.restart)
        assert len(ids_seen_by(upstream)) > 500


async def test_a_torn_last_line_is_cut_off_at_the_next_start(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, RunningProxy(configuration(upstream.url, tmp_path)) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.request(get())
        # The outcome is recorded once the response is sent; a kill in between may take it along.
        await until(lambda: len(proxy.audit_records()) == 2, what="the outcome record")
        await asyncio.to_thread(proxy.kill)
        whole = proxy.audit_path.read_bytes()
        with proxy.audit_path.open("ab") as file:
            file.write(whole.splitlines()[-1][:100])
        await asyncio.to_thread(proxy.restart)
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get())).status == 200
        await asyncio.to_thread(proxy.terminate)
        assert [record["seq"] for record in chain_of(proxy.audit_path)] == [1, 2, 3, 4]
        assert "ends in part of a record; 100 bytes will be cut off" in proxy.log_text()


async def test_stopping_records_how_what_was_in_flight_ended(tmp_path: Path) -> None:
    async def answer_late(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await asyncio.sleep(0.5)
            await connection.write(OK)

    async with (
        RecordingUpstream(answer_late) as upstream,
        RunningProxy(configuration(upstream.url, tmp_path)) as proxy,
        ScriptedClient(proxy.port) as client,
    ):
        await client.send(get())
        await until(lambda: upstream.byte_count > 0, what="the request")
        proxy.send_signal(signal.SIGTERM)
        assert (await client.read_response()).status == 200
        assert await asyncio.to_thread(proxy.terminate) == 0
        decision, outcome = chain_of(proxy.audit_path)
        assert (decision["reason"], outcome["reason"]) == ("allowed", "completed")


# One record per request


CHUNKED = b"Transfer-Encoding: chunked"

REQUESTS: Mapping[str, tuple[bytes, str, bool]] = {
    "good": (get("/a?q=1"), "allowed", True),
    "a body": (request("POST", "/a", body=b"x" * 5000), "allowed", True),
    "HTTP/1.0": (get("/a").replace(b"HTTP/1.1", b"HTTP/1.0"), "allowed", True),
    "public": (f"GET /public/a HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(), "public", True),
    "no credential": (f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(), "credential-missing", False),
    "a bad token": (
        f"GET / HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer a.b.c\r\n\r\n".encode(),
        "token-malformed",
        False,
    ),
    "two credentials": (get("/", bearer().strip()), "several-credentials", False),
    "our own prefix": (get("/.rolegate/x"), "no-route", False),
    "dot segments": (get("/a/../b"), "ambiguous-path", False),
    "two hosts": (get("/", b"Host: b"), "ambiguous-host", False),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "method-refused", False),
    "too large a body": (request("POST", "/a", b"Content-Length: 100001"), "body-too-large", False),
    "too many headers": (
        get("/", *[b"X-%d: y" % number for number in range(120)]),
        "headers-too-large",
        False,
    ),
    "too long a target": (get("/" + "a" * 9000), "target-too-long", False),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "malformed-request", False),
    "a bare line feed": (b"GET / HTTP/1.1\nHost: a\n\n", "malformed-request", False),
    "both framings": (get("/", b"Content-Length: 5", CHUNKED), "malformed-request", False),
    "chunks in HTTP/1.0": (
        request("POST", "/a", CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
        "ambiguous-framing",
        False,
    ),
}


async def test_every_request_has_one_decision_and_every_forwarded_one_an_outcome(tmp_path: Path) -> None:
    expected: list[tuple[str, str, bool]] = []
    async with RecordingUpstream() as upstream, RunningProxy(configuration(upstream.url, tmp_path)) as proxy:
        for data, reason, is_forwarded in REQUESTS.values():
            async with ScriptedClient(proxy.port) as client:
                response = await client.request(data)
                request_id = response.header("X-Request-Id")
                assert request_id is not None
                expected.append((request_id, reason, is_forwarded))
        await asyncio.to_thread(proxy.terminate)
        records = chain_of(proxy.audit_path)
        seen = ids_seen_by(upstream)
    decisions = {record["request_id"]: record for record in records if record["kind"] == "decision"}
    assert len(ids_of(records, "decision")) == len(decisions) == len(REQUESTS)
    for (name, _), (request_id, reason, _) in zip(REQUESTS.items(), expected, strict=True):
        assert decisions[request_id]["reason"] == reason, name
        assert decisions[request_id]["client"] == "127.0.0.1"
    forwarded = [request_id for request_id, _, is_forwarded in expected if is_forwarded]
    assert sorted(ids_of(records, "outcome")) == sorted(forwarded)
    assert seen == set(forwarded)


async def test_pipelined_requests_have_a_record_each(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream, RunningProxy(configuration(upstream.url, tmp_path)) as proxy:
        async with ScriptedClient(proxy.port) as client:
            await client.send(get("/1") + get("/2") + get("/a/../3") + get("/4"))
            responses = [await client.read_response() for _ in range(4)]
        await asyncio.to_thread(proxy.terminate)
        records = chain_of(proxy.audit_path)
        ids = [response.header("X-Request-Id") for response in responses]
        assert ids_of(records, "decision") == ids
        assert ids_of(records, "outcome") == [ids[0], ids[1], ids[3]]
        assert [record["path"] for record in records if record["kind"] == "decision"] == [
            *("/1", "/2", "/a/../3", "/4"),
        ]


async def test_an_outcome_says_how_it_ended(tmp_path: Path) -> None:
    async def script(connection: RecordedConnection) -> None:
        data = await connection.request() or b""
        if b"/reset" in data:
            connection.reset()
        elif b"/garbage" in data:
            await connection.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        elif b"/cut" in data:
            await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        else:
            await connection.write(b"HTTP/1.1 418 Teapot\r\nContent-Length: 3\r\n\r\ntea")

    async def ask(proxy: RunningProxy, data: bytes) -> None:
        async with ScriptedClient(proxy.port) as client:
            await client.send(data)
            try:
                await client.read_response()
            except (OSError, EOFError):
                pass  # a response that was cut short ends in a reset

    async with RecordingUpstream(script) as upstream:
        config = configuration(upstream.url, tmp_path)
        async with RunningProxy(config) as proxy:
            for path in ("/reset", "/garbage", "/cut"):
                await ask(proxy, get(path))
            await ask(proxy, request("PUT", "/tea", body=b"x" * 100))
            await asyncio.to_thread(proxy.terminate)
            outcomes = [record for record in chain_of(proxy.audit_path) if record["kind"] == "outcome"]
    seen = [tuple(one[name] for name in ("reason", "status", "bytes_in", "bytes_out")) for one in outcomes]
    assert seen == [
        ("upstream-reset", 502, 0, 0),
        ("upstream-malformed", 502, 0, 0),
        ("upstream-reset", 200, 0, 4),
        ("completed", 418, 100, 3),
    ]
    assert all(one["upstream"] == f"127.0.0.1:{upstream.port}" for one in outcomes)
    assert all(one["duration_ms"] > 0 for one in outcomes)


async def test_an_upstream_that_is_not_there_has_its_outcome(tmp_path: Path) -> None:
    config = configuration(f"http://127.0.0.1:{free_port()}", tmp_path)
    async with RunningProxy(config) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get())).status == 502
        await asyncio.to_thread(proxy.terminate)
        decision, outcome = chain_of(proxy.audit_path)
        assert (decision["decision"], outcome["reason"]) == ("allow", "upstream-unreachable")
