"""What one worker of several gets of a configuration."""

import os
import pickle
from pathlib import Path

import pytest

from proxy.assemble import policy_version
from proxy.settings.load import load
from proxy.workers.share import numbered, part, share_of, usable_cores, worker_count
from tests.settings.files import write
from tests.settings.test_load import FULL
from tests.test_assemble import settings_of


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/log/audit.jsonl", "/var/log/audit.3.jsonl"),
        ("audit", "audit.3"),
        ("a.b/audit.log.jsonl", "a.b/audit.log.3.jsonl"),
    ],
)
def test_each_worker_has_an_audit_file_of_its_own(path: str, expected: str) -> None:
    assert numbered(Path(path), 3) == Path(expected)


@pytest.mark.parametrize(("whole", "count", "expected"), [(10, 3, 4), (9, 3, 3), (1, 8, 1), (256, 1, 256)])
def test_a_limit_is_divided_and_never_nothing(whole: int, count: int, expected: int) -> None:
    assert part(whole, count) == expected


def test_limits_of_connections_hold_for_all_together(tmp_path: Path) -> None:
    upstreams = {"api": {"url": "http://127.0.0.1:9", "max_connections": 10, "max_waiting": 7}}
    listen = {"address": "127.0.0.1:0", "max_connections": 500, "max_header_count": 9}
    settings = settings_of(tmp_path, listen=listen, upstreams=upstreams, token_cache={"max_entries": 50})
    share = share_of(settings, 1, 4, ports=[4711], node="web")
    assert share.listen.address == ("127.0.0.1", 4711)
    assert (share.listen.max_connections, share.listen.max_header_count) == (125, 9)
    assert (share.upstreams["api"].max_connections, share.upstreams["api"].max_waiting) == (3, 2)
    assert share.token_cache.max_entries == 50
    assert (share.audit.node, share.audit.file) == ("web/1", tmp_path / "audit.1.jsonl")
    assert policy_version(share) == policy_version(settings)
    # Checked already, and sent to each worker on each reload: without the text of the files.
    assert share.place("listen", "address") == "configuration:1:1"
    assert len(pickle.dumps(share)) < len(pickle.dumps(settings)) / 2
    assert settings.listen.max_connections == 500


def test_every_setting_survives_the_way_to_a_worker(tmp_path: Path) -> None:
    settings = load(write(tmp_path, FULL, "rolegate.json"), environ={})
    arrived = pickle.loads(pickle.dumps(settings))  # noqa: S301 - our own
    for name in type(settings).model_fields:
        assert getattr(arrived, name) == getattr(settings, name)
    assert arrived.place("routes", "n") == settings.place("routes", "n")


def test_auto_is_one_for_each_core_that_may_be_used(tmp_path: Path) -> None:
    assert worker_count(settings_of(tmp_path)) == 1
    assert worker_count(settings_of(tmp_path, workers=3)) == 3
    assert worker_count(settings_of(tmp_path, workers="auto")) == usable_cores()


@pytest.mark.parametrize(
    ("quota", "most"),
    [
        ("max 100000\n", None),
        ("100000 100000\n", 1),
        ("150000 100000\n", 1),
        ("50000 100000\n", 1),
        ("99999999 100000\n", None),
        ("", None),
    ],
)
def test_a_container_has_no_more_cores_than_its_quota(tmp_path: Path, quota: str, most: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert usable_cores(file) == (most or len(os.sched_getaffinity(0)))
    assert usable_cores(tmp_path / "nowhere") == len(os.sched_getaffinity(0))
