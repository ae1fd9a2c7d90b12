"""What a family of processes used is what all of them used."""

import os
import subprocess
import sys

from tests.bench.usage import cpu_seconds, resident_bytes, tree

BURN = "import time\nwhile time.process_time() < 0.2: pass\nprint('done', flush=True)\ninput()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}])"


def test_children_count() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "done\n"
        family = tree(parent.pid)
        used, resident = cpu_seconds(parent.pid), resident_bytes(parent.pid)
        parent.communicate("\n", timeout=10)
    assert family[0] == parent.pid
    assert len(family) == 2
    assert used >= 0.2
    assert resident > 2**20


def test_process_without_children_is_its_own_family() -> None:
    assert tree(os.getpid())[0] == os.getpid()
    assert cpu_seconds(os.getpid()) > 0
