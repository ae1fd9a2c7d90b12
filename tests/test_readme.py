"""The commands in the README do what it says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Both wait for a signal; the tests of their own start and stop them.
_SERVING = ("rolegate serve", "rolegate demo")
_RUN_HERE = ("rolegate check", "rolegate explain", "rolegate token", "rolegate schema", "echo")

BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[str]:
    return block.replace("\\\n", " ").strip().splitlines()


RUNNABLE = [block for block in BLOCKS if all(line.startswith(_RUN_HERE) for line in commands(block))]
OTHERS = [line for block in BLOCKS if block not in RUNNABLE for line in commands(block)]


def test_readme_has_commands_to_run() -> None:
    assert len(RUNNABLE) >= 2


@pytest.mark.parametrize("block", RUNNABLE, ids=lambda block: block.splitlines()[0][:40])
def test_block_runs_without_network(block: str, tmp_path: Path) -> None:
    """In a copy of what it reads, as somebody would who pastes it."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", block],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


@pytest.mark.parametrize("command", OTHERS)
def test_every_other_command_exists(command: str) -> None:
    if command.startswith(_SERVING):
        config = re.search(r"--config (\S+)", command)
        assert config is None or (ROOT / config[1]).exists()
        return
    assert command.startswith("make "), f"nothing here knows how to try `{command}`"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{command.removeprefix('make ')}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:config|proxy)/[\w./-]*|[A-Z]+\.md)`", README))))
def test_every_file_it_names_exists(name: str) -> None:
    assert (ROOT / name).exists()


def test_columns_of_the_audit_lines_are_those_of_the_demonstration() -> None:
    from proxy.demo.lines import AuditLines
    from proxy.demo.terminal import Palette

    assert AuditLines(Palette(is_on=False)).heading() in README
