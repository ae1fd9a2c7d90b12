"""`rolegate serve` as a command: what it says and how it ends where it cannot run."""

from pathlib import Path

import pytest

from proxy.cli.main import main


def test_a_bad_configuration_is_told_with_its_place_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rolegate.yaml"
    path.write_text("audit: {stdout: true}\nlisten: {adress: 127.0.0.1:0}\n")
    assert main(["serve", "--config", str(path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert f"{path}:2:10: listen.adress" in told.err
    assert "did you mean `address`?" in told.err


def test_a_missing_file_is_named_and_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nowhere.yaml"
    assert main(["serve", "--config", str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_the_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--help"])
    assert ended.value.code == 0
    assert "rolegate serve --config config/rolegate.yaml" in capsys.readouterr().out
