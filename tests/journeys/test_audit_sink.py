"""While no record can be kept nothing is forwarded: disks that are full, files that are gone."""

import asyncio
import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.trail import (
    Records,
    chain_of,
    configuration,
    ids_of,
    ids_seen_by,
    load,
    statuses_of_next,
    until_answered_with,
)
from tests.kit.local_proxy import get, until
from tests.kit.recorder import RecordingUpstream
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import Response, ScriptedClient
from tests.record.audit_trail import read_chain
from tests.record.sinks.mounts import fill, small_disk


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


async def test_a_file_that_is_not_ours_is_left_alone_and_nothing_is_forwarded(tmp_path: Path) -> None:
    foreign = tmp_path / "precious.txt"
    foreign.write_text("somebody else's\nnotes")
    config = configuration("http://127.0.0.1:1", tmp_path, audit={"file": str(foreign)})
    async with RunningProxy(config, ready_path="/livez") as proxy, ScriptedClient(proxy.port) as client:
        assert_unavailable(await client.request(get()))
        assert proxy.admin("/readyz") == (503, "not ready: the audit sink takes no records\n")
        await asyncio.to_thread(proxy.terminate)
        assert foreign.read_text() == "somebody else's\nnotes"


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    with RunningProxy(configuration("http://127.0.0.1:1", tmp_path)) as proxy:
        assert proxy.audit_path.stat().st_mode & 0o777 == 0o600
        assert proxy.audit_path.stat().st_uid == os.geteuid()
