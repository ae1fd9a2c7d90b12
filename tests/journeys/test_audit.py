"""
The audit trail of a proxy in a process of its own, which is killed, starved of disk and lied to.

The witness is an upstream that keeps every byte it gets.
"""

import asyncio
import base64
import json
import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.trail import (
    configuration,
    ids_of,
    ids_seen_by,
    load,
    statuses_of_next,
    until_answered_with,
)
from tests.kit.local_proxy import HOST, bearer, get, request, token, until
from tests.kit.ports import free_port
from tests.kit.programs import program
from tests.kit.recorder import OK, RecordedConnection, RecordingUpstream
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import Response, ScriptedClient
from tests.record.audit_trail import read_chain
from tests.record.sinks.mounts import fill, small_disk

Records = list[dict[str, Any]]  # Any: JSON


def chain_of(*paths: Path) -> Records:
    """Return the records of files that follow each other, after checking the chain."""
    return read_chain(b"".join(path.read_bytes() for path in paths))


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


async def test_a_file_that_is_not_ours_is_left_alone_and_nothing_is_forwarded(tmp_path: Path) -> None:
    foreign = tmp_path / "precious.txt"
    foreign.write_text("somebody else's\nnotes")
    config = configuration("http://127.0.0.1:1", tmp_path, audit={"file": str(foreign)})
    async with RunningProxy(config, ready_path="/livez") as proxy, ScriptedClient(proxy.port) as client:
        assert_unavailable(await client.request(get()))
        assert proxy.admin("/readyz") == (503, "not ready: the audit sink takes no records\n")
        await asyncio.to_thread(proxy.terminate)
        assert foreign.read_text() == "somebody else's\nnotes"


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


# A sink that does not take records


def assert_unavailable(response: Response) -> None:
    assert response.status == 503
    assert b'"reason":"audit-unavailable"' in response.body


async def assert_silence(responses: list[Response], upstream: RecordingUpstream) -> None:
    """While the sink is away everybody is refused and not one byte goes upstream."""
    # What was on its way when the sink failed is forwarded rightly; it has its record.
    await asyncio.sleep(0.1)
    before, start = upstream.byte_count, len(responses)
    assert set(await statuses_of_next(responses, 200)) == {503}
    await asyncio.sleep(1.5)  # attempts to recover are made every second
    for response in responses[start:]:
        assert_unavailable(response)
    assert upstream.byte_count == before


async def test_on_a_full_disk_nothing_is_forwarded_until_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "256k") as is_mounted:
        if not is_mounted:
            # Without a disk of our own that can be filled: a device that is always full, then a file.
            await break_and_mend(tmp_path, put_full_device, remove_full_device)
            return
        path = tmp_path / "disk" / "audit.jsonl"
        async with (
            RecordingUpstream() as upstream,
            RunningProxy(configuration(upstream.url, tmp_path, audit={"file": str(path)})) as proxy,
            load(proxy) as responses,
        ):
            await until_answered_with(200, responses)
            ballast = fill(path)
            await until_answered_with(503, responses)
            await assert_silence(responses, upstream)
            assert (await asyncio.to_thread(proxy.admin, "/readyz"))[0] == 503
            path_while_full = path.read_bytes()
            chain_before = read_chain(path_while_full)
            ballast.unlink()
            await until_answered_with(200, responses)
            after = read_chain(path.read_bytes().rpartition(b"\n")[0] + b"\n")
            assert "No space left on device; nothing is forwarded until it can be" in proxy.log_text()
        assert [record["seq"] for record in chain_before] == [
            record["seq"] for record in after[: len(chain_before)]
        ]
        gaps = [record for record in after if record["kind"] == "gap"]
        assert gaps
        assert sum(gap["requests_refused"] for gap in gaps) > 200


Change = Callable[[Path], None]


def put_directory(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.mkdir()
    path.with_suffix(".moved").unlink()


def remove_directory(path: Path) -> None:
    path.rmdir()


def put_full_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/full")


def remove_full_device(path: Path) -> None:
    path.unlink()


def make_immutable(path: Path) -> None:
    if not chattr("+i", path):
        put_directory(path)


def make_mutable(path: Path) -> None:
    if path.is_dir():
        remove_directory(path)
    else:
        assert chattr("-i", path)


def chattr(mode: str, path: Path) -> bool:
    """Change an attribute, which takes root and a file system that has it."""
    try:
        done = subprocess.run(["chattr", mode, str(path)], capture_output=True, check=False, timeout=10)
    except FileNotFoundError:
        return False
    return done.returncode == 0


async def break_and_mend(tmp_path: Path, break_it: Change, mend_it: Change) -> None:
    path = tmp_path / "audit.jsonl"
    async with (
        RecordingUpstream() as upstream,
        RunningProxy(configuration(upstream.url, tmp_path, audit={"file": str(path)})) as proxy,
        load(proxy) as responses,
    ):
        await until_answered_with(200, responses)
        break_it(path)
        try:
            await until_answered_with(503, responses)
            await assert_silence(responses, upstream)
        finally:
            mend_it(path)
        await until_answered_with(200, responses)
        assert set(await statuses_of_next(responses, 20)) == {200}
        await asyncio.to_thread(proxy.terminate)
        assert "gap" in {record["kind"] for record in later_chain_of(path)}


def later_chain_of(path: Path) -> Records:
    """Return the records of a file that may begin in the middle of a chain."""
    data = path.read_bytes()
    return read_chain(data, str(json.loads(data.partition(b"\n")[0])["prev"]))


@pytest.mark.parametrize(
    ("break_it", "mend_it"),
    [
        (make_immutable, make_mutable),
        (put_directory, remove_directory),
        (put_full_device, remove_full_device),
    ],
    ids=["read-only", "replaced by a directory", "replaced by a full device"],
)
async def test_while_the_file_cannot_be_written_nothing_is_forwarded(
    tmp_path: Path, break_it: Change, mend_it: Change
) -> None:
    await break_and_mend(tmp_path, break_it, mend_it)


@pytest.mark.parametrize("how", ["removed", "rotated"])
async def test_a_file_that_is_gone_loses_no_record(tmp_path: Path, how: str) -> None:
    """Removed, it refuses until it is made anew; rotated, it takes records until the new one does."""
    path, kept = tmp_path / "audit.jsonl", list[Path]()
    async with (
        RecordingUpstream() as upstream,
        RunningProxy(configuration(upstream.url, tmp_path, audit={"file": str(path)})) as proxy,
    ):
        async with load(proxy) as responses:
            for number in range(3):
                await until_answered_with(200, responses)
                with path.open("rb") as old:
                    if how == "removed":
                        path.unlink()
                    else:
                        path.rename(tmp_path / f"rotated.{number}")
                    await until(path.exists, what="a new file")
                    await until_answered_with(200, responses)
                    kept.append(tmp_path / f"kept.{number}")
                    kept[-1].write_bytes(old.read())
            statuses = Counter(response.status for response in responses)
        await asyncio.to_thread(proxy.terminate)
        records = chain_of(*kept, path)
        assert ids_seen_by(upstream) <= set(ids_of(records, "decision"))
        assert set(statuses) <= ({200, 503} if how == "removed" else {200})


async def test_a_second_process_cannot_write_into_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path, audit={"file": str(path)})
        async with (
            RunningProxy(config) as first,
            RunningProxy(config, ready_path="/livez") as second,
            ScriptedClient(second.port) as client,
        ):
            assert_unavailable(await client.request(get()))
            assert upstream.byte_count == 0
            await asyncio.to_thread(first.terminate)
            await until(lambda: second.admin("/readyz")[0] == 200, what="its turn")
            assert (await client.request(get())).status == 200
            await asyncio.to_thread(second.terminate)
        chain_of(path)


async def test_records_on_the_standard_output_are_alone_there(tmp_path: Path) -> None:
    async with RecordingUpstream() as upstream:
        config = configuration(upstream.url, tmp_path, audit={"stdout": True})
        async with RunningProxy(config) as proxy:
            async with load(proxy) as responses:
                await statuses_of_next(responses, 200)
            await asyncio.to_thread(proxy.terminate)
            records = chain_of(proxy.stdout_path)
            assert ids_seen_by(upstream) <= set(ids_of(records, "decision"))
            assert len(ids_of(records, "outcome")) == len(ids_of(records, "decision"))


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


# Secrets


def secret_requests(mark: Callable[[], bytes]) -> list[bytes]:
    """Return requests with a secret in every place where a client can put one."""

    def good(path: bytes, *lines: bytes) -> bytes:
        head = b"GET " + path + b" HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\n" + bearer()
        return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n"

    basic = base64.b64encode(b"mira:" + mark())
    broken = token().rpartition(".")[0].encode() + b"." + mark()
    return [
        good(b"/a?token=" + mark()),
        good(b"/public/a?" + mark()),
        good(b"/a", b"Cookie: session=" + mark(), b"X-Api-Key: " + mark(), b"X-" + mark() + b": 1"),
        good(
            b"/a",
            b"X-Rolegate-Subject: " + mark(),
            b"X-Forwarded-For: " + mark(),
            b"Forwarded: for=" + mark(),
        ),
        good(b"/a", b"traceparent: " + mark(), b"tracestate: a=" + mark(), b"Referer: http://a/?" + mark()),
        good(b"/a", b"Expect: " + mark()),
        good(b"/a", b"Authorization: Bearer " + mark()),
        good(b"/a", b"Proxy-Authorization: Basic " + basic, b"Upgrade: " + mark()),
        good(b"/a", b"Transfer-Encoding: " + mark()),
        good(b"/a", b"Content-Length: " + mark()),
        good(b"/a#" + mark()),
        good(b"/a;session=" + mark() + b"/b"),
        good(b"/a/../b?" + mark()),
        good(b"/a/%zz?" + mark()),
        good(b"//mira:" + mark() + b"@host/a"),
        good(b"http://mira:" + mark() + b"@" + HOST.encode() + b"/a"),
        b"CONNECT mira:" + mark() + b"@host:443 HTTP/1.1\r\nHost: host:443\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: mira:" + mark() + b"@host\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + broken + b"\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + mark() + b" " + mark() + b"\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: Basic " + basic + b"\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nauthorization:" + mark() + b"\r\n\r\n",
        b"GET /a?" + mark() + b" HTTP/1.1\nHost: h\n\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nCookie : " + mark() + b"\r\n\r\n",
        mark() + b" /a HTTP/1.1\r\nHost: h\r\n\r\n",
        mark() + b"\r\n\r\n",
        good(b"/a", b"Content-Length: 36")[:-2] + b"\r\n" + mark(),
        good(b"/a", CHUNKED)
        + b"24;ext="
        + mark()
        + b"\r\n"
        + mark()
        + b"\r\n0\r\nX-T: "
        + mark()
        + b"\r\n\r\n",
    ]


async def test_no_secret_is_written_anywhere(tmp_path: Path) -> None:
    marks: list[bytes] = []

    def mark() -> bytes:
        marks.append(b"SECRET%02dxxxxxxxxxxxxxxxxxxxxxxxxxxxx" % len(marks))
        return marks[-1]

    async def answer(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await connection.write(
                b"HTTP/1.1 200 SECRETPHRASE\r\nSet-Cookie: a=SECRETCOOKIE\r\nLocation: /?SECRETQUERY\r\n"
                b"X-SECRETNAME: 1\r\nContent-Length: 10\r\n\r\nSECRETBODY"
            )

    requests = secret_requests(mark)
    async with (
        RecordingUpstream(answer) as upstream,
        RunningProxy(configuration(upstream.url, tmp_path)) as proxy,
    ):
        for data in requests:
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(data)).status in {200, 400, 401, 431, 501}, data
        metrics = proxy.metrics_text()
        await asyncio.to_thread(proxy.terminate)
        records = chain_of(proxy.audit_path)
        written = proxy.audit_path.read_text() + proxy.log_text() + metrics
    assert len(ids_of(records, "decision")) == len(requests)
    assert "SECRET" not in written
    assert base64.b64encode(b"mira:SECRET").decode()[:14] not in written
    signature = bearer().decode().strip().rpartition(".")[2]
    assert signature not in written
    assert bearer().split(b" ")[2][:40].decode() not in written
    assert len(marks) > 35


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    with RunningProxy(configuration("http://127.0.0.1:1", tmp_path)) as proxy:
        assert proxy.audit_path.stat().st_mode & 0o777 == 0o600
        assert proxy.audit_path.stat().st_uid == os.geteuid()
