"""The unit for systemd says what `serve` does."""

import subprocess
from pathlib import Path

from tests.kit.programs import find_program

UNIT = Path(__file__).parents[1] / "deploy" / "systemd" / "rolegate.service"


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_it_is_notified_reloaded_and_ended_in_order() -> None:
    unit = settings()
    assert unit["Type"] == ["notify"]
    assert unit["NotifyAccess"] == ["main"]
    assert unit["ExecReload"][-1] == "/bin/kill -HUP $MAINPID"
    # With `control-group` workers would be told to end by two at once.
    assert unit["KillMode"] == ["mixed"]
    # The default of `listen.timeouts.shutdown`, and what comes after it.
    assert int(unit["TimeoutStopSec"][0].removesuffix("s")) > 30 + 8


def test_systemd_understands_it() -> None:
    program = find_program("systemd-analyze")
    if program is None:
        return
    result = subprocess.run(
        [program, "verify", "--man=no", str(UNIT)], capture_output=True, text=True, check=False, timeout=60
    )
    complaints = [line for line in result.stderr.splitlines() if "rolegate.service" in line]
    assert [line for line in complaints if "is not executable" not in line] == []
