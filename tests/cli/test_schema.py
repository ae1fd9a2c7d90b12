import argparse
import json
from pathlib import Path

import pytest

from proxy.cli import schema

CONFIG = Path(__file__).parents[2] / "config"


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    schema.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["schema", *arguments])
    return int(parsed.run(parsed))


@pytest.mark.parametrize("name", sorted(schema.generated()))
def test_shipped_file_is_what_the_code_generates(name: str) -> None:
    """If this fails: rolegate schema --write config."""
    assert (CONFIG / name).read_text(encoding="utf-8") == schema.generated()[name]


def test_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert json.loads(capsys.readouterr().out)["title"] == "rolegate configuration"


def test_files_are_written_and_then_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--write", str(tmp_path)) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/rolegate.schema.json",
        f"{tmp_path}/REFERENCE.md",
    ]
    assert run("--check", str(tmp_path)) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("content", [b"{}", b"\xff"])
def test_stale_file_is_named_with_the_remedy(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--write", str(tmp_path))
    (tmp_path / "REFERENCE.md").write_bytes(content)
    assert run("--check", str(tmp_path)) == 1
    assert capsys.readouterr().err == (
        f"{tmp_path}/REFERENCE.md: not up to date; run `rolegate schema --write {tmp_path}`\n"
    )


def test_missing_files_are_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--check", str(tmp_path)) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_folder_that_cannot_be_written_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--write", str(tmp_path / "nope")) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_writing_and_checking_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run("--write", str(tmp_path), "--check", str(tmp_path))


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--help")
    assert "rolegate schema --write config" in capsys.readouterr().out
