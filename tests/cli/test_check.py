import argparse
import json
from pathlib import Path

import pytest

from proxy.cli import check
from tests.kit.named_files import make_named_files
from tests.settings.files import SMALL, changed, write

CONFIG = Path(__file__).parents[2] / "config"


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    check.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["check", *arguments])
    return int(parsed.run(parsed))


def test_good_configuration_is_one_line_and_exit_code_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, SMALL)
    assert run("--config", str(path)) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{path}: ok, 1 issuer, 1 role, 1 upstream, 1 route\n"
    assert printed.err == ""


def test_good_configuration_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--config", str(write(tmp_path, SMALL)), "--output", "json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "ok": True,
        "issuers": 1,
        "roles": 1,
        "upstreams": 1,
        "routes": 1,
        "warnings": [],
    }


def test_folder_is_checked_as_a_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, SMALL)
    write(tmp_path, "upstreams: {more: {url: 'http://127.0.0.1:1'}}", "more.yaml")
    assert run("--config", str(tmp_path)) == 0
    assert capsys.readouterr().out == f"{tmp_path}: ok, 1 issuer, 1 role, 2 upstreams, 1 route\n"


def test_problems_go_to_stderr_with_their_number_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, changed("issuer: gitlab", "issuer: gitlap").replace("[/deployments/**]", "[x]"))
    assert run("--config", str(path)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        (
            f"{path}:9:17: roles.deployer.bindings[0].issuer: expected the name of an issuer, got `gitlap`; "
            "did you mean `gitlab`?"
        ),
        f"{path}:15:21: routes.deployments.match.paths[0]: expected a path that starts with `/`, got `x`",
        "2 problems",
    ]


def test_single_problem_is_counted_in_the_singular(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--config", str(tmp_path / "nope.yaml")) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "1 problem"


def test_problems_as_json_have_place_key_and_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, changed("issuer: gitlab", "issuer: gitlap"))
    assert run("--config", str(path), "--output", "json") == 2
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "problems": [
            {
                "place": f"{path}:9:17",
                "key": "roles.deployer.bindings[0].issuer",
                "message": "expected the name of an issuer, got `gitlap`; did you mean `gitlab`?",
            }
        ],
    }


def test_problems_that_only_show_when_parts_are_put_together_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two routes that match the same requests."""
    route = SMALL[SMALL.index("  - name: deployments") :].replace("name: deployments", "name: twin")
    path = write(tmp_path, SMALL + route)
    assert run("--config", str(path)) == 2
    printed = capsys.readouterr().err
    assert "`twin`" in printed
    assert "`deployments`" in printed
    assert printed.startswith(f"{path}:")


def test_route_paths_that_cannot_match_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, changed("[/deployments/**]", "[/a/../b]"))
    assert run("--config", str(path)) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"{path}:1")
    assert "`/a/../b`" in printed


@pytest.mark.parametrize(
    "file",
    [CONFIG / "rolegate.yaml", *sorted((CONFIG / "examples").glob("*.yaml"))],
    ids=lambda file: file.name,
)
def test_everything_we_ship_passes(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = file.read_text(encoding="utf-8")
    make_named_files(text, tmp_path)
    assert run("--config", str(write(tmp_path, text))) == 0, capsys.readouterr().err
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "content", "said"),
    [
        ("jwks_file", None, "cannot read `{file}`: No such file or directory"),
        ("jwks_file", "{}", "issuer `gitlab`: "),
        ("ca_file", None, "cannot use `{file}`: No such file or directory"),
        ("ca_file", "no certificate", "cannot use `{file}`: "),
    ],
)
def test_files_of_issuers_are_looked_at(
    key: str, content: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`serve` would end with them, or never get keys."""
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content)
    issuer = "audiences: [https://api.example.com]"
    path = write(tmp_path, changed(issuer, f"{issuer}\n    {key}: keys"))
    assert run("--config", str(path)) == 2
    told = capsys.readouterr().err
    assert f"{path}:6:" in told
    assert f"issuers.gitlab.{key}: " in told
    assert said.format(file=file) in told


@pytest.mark.parametrize("missing", ["ca_file", "certificate_file", "key_file"])
def test_a_missing_file_of_an_upstream_is_named(
    missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = "ca_file: a.pem, certificate_file: b.pem, key_file: c.pem"
    text = changed('{url: "http://127.0.0.1:9000"}', f'{{url: "https://127.0.0.1:9000", tls: {{{keys}}}}}')
    make_named_files(text, tmp_path)
    file = tmp_path / dict(pair.split(": ") for pair in keys.split(", "))[missing]
    file.unlink()
    assert run("--config", str(write(tmp_path, text))) == 2
    assert f"`tls.{missing}`: cannot read `{file}`: No such file or directory" in capsys.readouterr().err


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--help")
    assert "rolegate check --config config/rolegate.yaml" in capsys.readouterr().out


def test_what_loads_and_is_probably_not_meant_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unused = "roles:\n  spare:\n    bindings: [{issuer: gitlab, claims: {project_id: '9'}}]\n"
    text = (CONFIG / "rolegate.yaml").read_text().replace("roles:\n", unused, 1)
    path = write(tmp_path, text)
    assert run("--config", str(path)) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith(f"warning: {path}:")
    assert "roles.spare" in printed.err
    assert ": ok, 1 issuer, 2 roles" in printed.out
