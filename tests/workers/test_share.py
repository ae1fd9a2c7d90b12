"""What one worker of several gets of a configuration."""

import os
import pickle
from pathlib import Path

import pytest

from proxy.assemble import policy_version
from proxy.settings.load import load
from proxy.workers.share import numbered, part, share_of, worker_count
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
    share = share_of(settings, 1, 4, port=4711, node="web")
    assert (share.listen.address.host, share.listen.address.port) == ("127.0.0.1", 4711)
    assert (share.listen.max_connections, share.listen.max_header_count) == (125, 9)
    assert (share.upstreams["api"].max_connections, share.upstreams["api"].max_waiting) == (3, 2)
    assert share.token_cache.max_entries == 50
    assert (share.audit.node, share.audit.file) == ("web/1", tmp_path / "audit.1.jsonl")
    assert policy_version(share) == policy_version(settings)
    assert share.place("listen", "address") == settings.place("listen", "address")
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
    assert worker_count(settings_of(tmp_path, workers="auto")) == len(os.sched_getaffinity(0))
