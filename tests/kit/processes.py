"""
Programs started for a test: waited for within bounds, ended by their id, their output kept in files.

A `Process` is never found by name: what this kit did not start, it does not end.
"""

import asyncio
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kit.ports import wait_until
from tests.kit.programs import program

END_TIMEOUT_S = 10.0


class Process:
    """
    One running program, in a folder of its own that goes when it ends.

    A subclass says in `prepare` what to run and in `is_ready` when it is up. Works as a context manager
    of both kinds; the asynchronous one waits on another thread, so that the test's own event loop can
    answer the program while it starts.
    """

    name = "process"
    start_timeout_s = 15.0
    core: int | None = None
    """The only processor core it may run on; None leaves that to the system."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._running: subprocess.Popen[bytes] | None = None

    def prepare(self) -> Sequence[str]:
        """Write what the program needs below `folder` and return its command line."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Say whether the program does its work by now."""
        return True

    def environment(self) -> Mapping[str, str] | None:
        """Return the program's environment; None means ours."""
        return None

    @property
    def folder(self) -> Path:
        """The folder of this program."""
        if self._folder is None:
            raise RuntimeError(f"{self.name} was not started")
        return Path(self._folder.name)

    @property
    def pid(self) -> int:
        """The id of the running program."""
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._running is not None and self._running.poll() is None

    @property
    def stdout_path(self) -> Path:
        """Where the program's standard output goes."""
        return self.folder / "stdout.log"

    @property
    def stderr_path(self) -> Path:
        """Where the program's standard error goes."""
        return self.folder / "stderr.log"

    def log_text(self) -> str:
        """Return what the program has printed so far, standard output before standard error."""
        paths = (self.stdout_path, self.stderr_path)
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())

    def start(self) -> Self:
        """Start the program and return when it is ready; raise with its output if it does not come up."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix=f"rolegate-{self.name}-")
        try:
            self._launch()
        except BaseException:
            self.stop()
            raise
        return self

    def restart(self) -> Self:
        """Start the program again after it ended, in the folder it had."""
        self.end()
        self._launch()
        return self

    def terminate(self, timeout_s: float = END_TIMEOUT_S) -> int:
        """Ask the program to end (SIGTERM) and return its exit code; raise if it goes on."""
        return self._signal_and_wait(signal.SIGTERM, timeout_s)

    def kill(self) -> int:
        """End the program in mid-flight (SIGKILL)."""
        return self._signal_and_wait(signal.SIGKILL, END_TIMEOUT_S)

    def send_signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self._popen.send_signal(number)

    def end(self) -> None:
        """End the program, gently first; its folder stays."""
        if not self.is_running:
            return
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()

    def stop(self) -> None:
        """End the program and remove its folder."""
        self.end()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def resident_bytes(self) -> int:
        """Return the resident memory of the program (VmRSS), without its children."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ProcessLookupError(f"{self.name} has ended")

    @property
    def _popen(self) -> subprocess.Popen[bytes]:
        if self._running is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._running

    def _launch(self) -> None:
        pinned = [] if self.core is None else [program("taskset"), "--cpu-list", str(self.core)]
        command = [*pinned, *self.prepare()]  # taskset becomes the program, so the id stays the same
        with self.stdout_path.open("ab") as stdout, self.stderr_path.open("ab") as stderr:
            self._running = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=self.folder,
                env=self.environment(),
            )
        self._wait(self._is_up)

    def _is_up(self) -> bool:
        if not self.is_running:
            code = self._popen.returncode
            raise RuntimeError(f"{self.name} ended with code {code} instead of starting:\n{self.log_text()}")
        return self.is_ready()

    def _wait(self, condition: Callable[[], bool]) -> None:
        try:
            wait_until(condition, what=f"the start of {self.name}", timeout_s=self.start_timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}:\n{self.log_text()}") from error

    def _signal_and_wait(self, number: signal.Signals, timeout_s: float) -> int:
        self._popen.send_signal(number)
        return self._popen.wait(timeout_s)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)
