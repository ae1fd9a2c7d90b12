"""The watch over a supervisor, in processes that would go on for ever without it."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

WATCHING = """
import re, socket, sys, time
from proxy.workers.vigil import Vigil
Vigil(socket.socket(fileno=int(sys.argv[1])), lambda: float(sys.argv[2])).begin()
print("watching", flush=True)
{}
"""

STUCK = {
    "in a system call": "time.sleep(600)",
    "in a loop": "while True: pass",
    "at its own end, for a thread": "from threading import Timer; Timer(600, print).start()",
}


@contextmanager
def watching(code: str, patience_s: float) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """Yield a process that watches, and the other side of its channel."""
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        subprocess.Popen(
            [sys.executable, "-c", WATCHING.format(code), str(theirs.fileno()), str(patience_s)],
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        theirs.close()
        assert process.stdout is not None
        assert process.stdout.readline() == b"watching\n"
        try:
            yield process, ours
        finally:
            process.kill()


@pytest.mark.parametrize("code", STUCK.values(), ids=STUCK.keys())
def test_what_is_stuck_is_killed_when_the_supervisor_has_gone(code: str) -> None:
    with watching(code, 0.1) as (process, channel):
        channel.close()
        assert process.wait(20) == -signal.SIGKILL


def test_while_the_supervisor_lives_nothing_is_killed_whatever_it_orders() -> None:
    with watching("time.sleep(600)", 0.0) as (process, channel):
        channel.send(b"orders that nobody reads")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)


def test_whoever_ends_in_time_ends_as_it_likes() -> None:
    with watching("time.sleep(0.3); sys.exit(7)", 60.0) as (process, channel):
        channel.close()
        assert process.wait(20) == 7
