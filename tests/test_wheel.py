"""The wheel installs as the README says, and holds all that rolegate needs."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from proxy.build import BUILD
from tests.test_readme import INSTALLATION, ROOT

SOURCE = ("proxy", "setup.py", "pyproject.toml", "README.md", "LICENSE")


def run(command: str, folder: Path, **more: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        ["sh", "-eu", "-c", command],
        cwd=folder,
        env={**environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1", **more},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel in `dist`: what `make wheel` built if that is tested, else the source's."""
    folder = tmp_path_factory.mktemp("wheel")
    if BUILD == "compiled":
        shutil.copytree(ROOT / "dist", folder / "dist")
        return folder
    source = folder / "source"
    source.mkdir()
    for name in SOURCE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    run(f"{sys.executable} -m pip wheel -q --no-deps --no-build-isolation -w dist source/", folder)
    return folder


@pytest.fixture(scope="module")
def rolegate(folder: Path) -> str:
    """The command that the README's lines installed; its dependencies come from the tests' place."""
    for line in INSTALLATION:
        if "requirements.lock" not in line and "--version" not in line:
            run(
                line.replace("/opt/rolegate", f"{folder}/venv").replace("python3 ", f"{sys.executable} "),
                folder,
            )
    return f"PYTHONPATH={sysconfig.get_path('purelib')} {folder}/venv/bin/rolegate"


def test_the_installed_command_says_what_runs(rolegate: str, folder: Path) -> None:
    assert f"({BUILD}, " in run(f"{rolegate} --version", folder)


def test_the_installed_command_finds_all_it_needs(rolegate: str, folder: Path) -> None:
    shutil.copytree(ROOT / "config", folder / "config")
    run(f"{rolegate} check --config config/rolegate.yaml && {rolegate} schema --check config", folder)
