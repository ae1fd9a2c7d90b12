"""The supervisor as a process; tests/workers/test_supervisor.py has what it does with workers."""

import signal
import time
from pathlib import Path

import pytest

from tests.kit.ports import wait_until
from tests.test_serving import CONFIGURATION
from tests.workers.crew import Crew


class Impatient(Crew):
    """Counts as started as soon as there is a process that has printed nothing yet."""

    def is_ready(self) -> bool:
        return True


@pytest.mark.parametrize("after_s", [0.7, 1.0, 1.4])
def test_a_signal_while_workers_start_ends_it_with_0(after_s: float) -> None:
    with Impatient(CONFIGURATION) as crew:
        wait_until(lambda: b"rolegate" in crew_command(crew), what="the interpreter")
        time.sleep(after_s)
        crew.send_signal(signal.SIGTERM)
        code = crew._popen.wait(30)
        # Before Python has come as far as to say what it does with the signal, the signal does it.
        assert code in (0, -signal.SIGTERM)
        assert "Traceback" not in crew.log_text()


def crew_command(crew: Crew) -> bytes:
    return Path(f"/proc/{crew.pid}/cmdline").read_bytes()


def test_it_says_how_many_listen_where() -> None:
    with Crew(CONFIGURATION, workers=3) as crew:
        assert f"listening on 127.0.0.1:{crew.port} with 3 workers; metrics" in crew.log_text()
        assert set(crew.pids()) == {0, 1, 2}
        crew.send_signal(signal.SIGTERM)
        assert crew._popen.wait(20) == 0
        assert "ERROR" not in crew.log_text()
