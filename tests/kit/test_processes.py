import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.kit.processes import Process

UP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {UP}"


class Script(Process):
    name = "script"
    start_timeout_s = 5.0

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code

    def prepare(self) -> Sequence[str]:
        return [sys.executable, "-c", self.code]

    def is_ready(self) -> bool:
        return "up" in self.log_text()


def test_a_process_is_ended_and_its_folder_goes_with_it() -> None:
    with Script(UP) as script:
        pid, folder = script.pid, script.folder
        assert script.is_running
        assert script.resident_bytes() > 1_000_000
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process_that_does_not_listen_to_reason_is_killed() -> None:
    script = Script(STUBBORN).start()
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            script.terminate(timeout_s=0.1)
        assert script.kill() == -signal.SIGKILL
    finally:
        script.stop()


def test_a_process_that_does_not_start_shows_what_it_said() -> None:
    script = Script("raise SystemExit('no such luck')")
    with pytest.raises(RuntimeError, match="no such luck"):
        script.start()
    assert not script.is_running


async def test_a_process_can_be_awaited() -> None:
    async with Script(UP) as script:
        assert script.is_running
    assert not script.is_running
