"""The harness without sockets drives the whole proxy, so that a change of its seams shows here."""

import subprocess
import sys
from pathlib import Path


def test_every_case_is_answered(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench.inner", "--rounds", "1", "--requests", "200"]
    done = subprocess.run(
        [*command, "--only", "small,16k,no-token,forged", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [
        "small",
        "16k",
        "no-token",
        "forged",
    ]
