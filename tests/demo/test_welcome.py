import shlex
import sys
from pathlib import Path

import pytest

from proxy.demo.terminal import Palette
from proxy.demo.welcome import Places, cases, own_command, proxy_hint, welcome

PLACES = Places(
    port=8080,
    admin_port=9090,
    issuer_port=4001,
    upstream_port=4002,
    config=Path("/tmp/d/rolegate.yaml"),  # noqa: S108 - a name, nothing is written
    audit=Path("/tmp/d/audit.jsonl"),  # noqa: S108 - a name, nothing is written
)
PLAIN = Palette(is_on=False)


def test_every_case_is_one_line_that_a_shell_can_read() -> None:
    for case in cases(PLACES):
        assert "\n" not in case.command
        assert shlex.split(case.command)[:2] == ["curl", "-i"]
        assert f"  {case.status}  {case.why}\n  {case.command}\n" in welcome(PLACES, PLAIN)


def test_path_that_curl_would_repair_is_sent_as_it_is() -> None:
    (ambiguous,) = (case for case in cases(PLACES) if case.status == 400)
    assert "--path-as-is" in ambiguous.command


def test_colour_changes_no_word() -> None:
    import re

    painted = welcome(PLACES, Palette(is_on=True))
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == welcome(PLACES, PLAIN)


@pytest.mark.parametrize(
    ("environ", "is_told"),
    [
        ({}, False),
        ({"http_proxy": "http://proxy.test:1"}, True),
        ({"all_proxy": "http://proxy.test:1"}, True),
        ({"https_proxy": "http://proxy.test:1"}, False),
        ({"http_proxy": "http://proxy.test:1", "no_proxy": "127.0.0.1"}, False),
        ({"http_proxy": "http://proxy.test:1", "no_proxy": "*"}, False),
    ],
)
def test_shell_behind_a_proxy_is_told(
    environ: dict[str, str], is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert bool(proxy_hint()) is is_told


def test_command_is_named_so_that_a_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "with space" / "rolegate"
    command.parent.mkdir()
    command.touch(mode=0o700)
    monkeypatch.setattr(sys, "argv", [str(command), "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert own_command() == f"'{command}'"
    monkeypatch.setenv("PATH", str(command.parent))
    assert own_command() == "rolegate"
