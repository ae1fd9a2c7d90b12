import subprocess
import sys
from pathlib import Path

import pytest

from proxy.build import describe
from proxy.cli.main import main, parser

COMMAND = str(Path(sys.executable).with_name("rolegate"))
COMMANDS = ("serve", "demo", "check", "explain", "token", "schema")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_ends_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "example" in printed
    assert f"  rolegate {command}" in printed


def test_version_says_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{describe()}\n"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n    {command} " in printed


@pytest.mark.parametrize("arguments", [[], ["nope"], ["token"], ["explain", "GET"]])
def test_bad_command_line_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: rolegate" in capsys.readouterr().err


def test_every_command_has_something_to_run() -> None:
    assert callable(parser().parse_args(["demo"]).run)


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    """Or every command, and completion in a shell, would wait for what one of them needs."""
    heavy = "aiohttp pydantic cryptography uvloop jwt prometheus_client yaml"
    code = f"import sys, proxy.cli.main; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == "[]\n"


def test_reader_that_has_seen_enough_is_no_error() -> None:
    done = subprocess.run(
        ["sh", "-c", f"{COMMAND} schema | head -1"], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr
