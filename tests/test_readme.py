"""The commands in the README do what it says, and its configuration loads."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from proxy.settings.load import load
from proxy.settings.schema import Settings
from proxy.vetting import problems, warnings
from tests.kit.named_files import make_named_files
from tests.settings.files import write

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Both wait for a signal; the tests of their own start and stop them.
_SERVING = ("rolegate serve", "rolegate demo")
_RUN_HERE = ("rolegate check", "rolegate explain", "rolegate token", "rolegate schema", "echo")

BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PIECES = re.findall(r"^```yaml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[str]:
    return block.replace("\\\n", " ").strip().splitlines()


FILES = sorted(set(re.findall(r"`((?:config|deploy|proxy|tests)/[\w./-]*|[A-Z]+\.md)`", README)))

# What a piece of a configuration may refer to without saying it.
REST = """\
audit: {file: audit.jsonl}
issuers:
  gitlab: {url: https://gitlab.example.com, audiences: [https://api.example.com]}
roles:
  deployer: {bindings: [{issuer: gitlab, claims: {project_id: "42"}}]}
upstreams:
  deployments: {url: http://127.0.0.1:9000}
  chat: {url: http://127.0.0.1:9001}
routes:
  - {name: other, match: {paths: [/other/**]}, upstream: deployments, allow: [{roles: [deployer]}]}
"""

RUNNABLE = [block for block in BLOCKS if all(line.startswith(_RUN_HERE) for line in commands(block))]
CONFIGURATION = [piece for piece in PIECES if yaml.safe_load(piece).keys() <= Settings.model_fields.keys()]
JOBS = [piece for piece in PIECES if piece not in CONFIGURATION]
# Run by tests/test_wheel.py.
INSTALLATION = [line for block in BLOCKS if "/opt/rolegate" in block for line in commands(block)]
OTHERS = [
    line for block in BLOCKS if block not in RUNNABLE for line in commands(block) if line not in INSTALLATION
]


def test_readme_says_how_to_install() -> None:
    assert [line.split()[1:-1] for line in INSTALLATION] == [
        ["-m", "venv"],
        ["install", "--no-deps", "--require-hashes", "-r"],
        ["install", "--no-deps"],
        [],
    ]


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


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:config|deploy|proxy|tests)/[\w./-]*|[A-Z]+\.md)`", README)))
)
def test_every_file_it_names_exists(name: str) -> None:
    assert (ROOT / name).exists()


def completed(piece: str) -> dict[str, object]:
    """Return a whole configuration with the sections of `piece`, beside what else they need."""
    whole, said = yaml.safe_load(REST), yaml.safe_load(piece)
    return {**whole, **said, "upstreams": {**whole["upstreams"], **said.get("upstreams", {})}}


def test_one_piece_of_yaml_is_a_job_and_the_others_are_configuration() -> None:
    assert [list(yaml.safe_load(piece)) for piece in JOBS] == [["deploy"]]
    assert len(CONFIGURATION) >= 6


@pytest.mark.parametrize("piece", CONFIGURATION, ids=lambda piece: ",".join(yaml.safe_load(piece)))
def test_piece_of_configuration_loads(piece: str, tmp_path: Path) -> None:
    make_named_files(piece, tmp_path)
    path = write(tmp_path, yaml.safe_dump(completed(piece)))
    settings = load(path)
    assert problems(settings) == []
    assert warnings(settings) == []


def test_columns_of_the_audit_lines_are_those_of_the_demonstration() -> None:
    from proxy.demo.lines import AuditLines
    from proxy.demo.terminal import Palette

    assert AuditLines(Palette(is_on=False)).heading() in README
