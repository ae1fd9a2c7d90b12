import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from proxy.settings.document import compose
from proxy.settings.json_schema import json_schema, json_schema_text
from proxy.settings.problem import Collector
from proxy.settings.resolve import data, resolve
from proxy.settings.secrets import References
from tests.settings.files import SMALL, changed
from tests.settings.test_load import FULL

CONFIG = Path(__file__).parents[2] / "config"
VALIDATOR = Draft202012Validator(json_schema())


def accepts(text: str) -> bool:
    """Ask the schema about `text` as an editor reads it: references are still references."""
    node = compose(text.encode(), "f.json" if text.lstrip().startswith("{") else "f.yaml")
    environ = {"URL": "${env:URL}", "SIZE": "${env:SIZE}"}
    resolve(node, References(environ, Path()), Collector())
    return VALIDATOR.is_valid(data(node))


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "file",
    [CONFIG / "rolegate.yaml", *sorted((CONFIG / "examples").glob("*.yaml"))],
    ids=lambda file: file.name,
)
def test_schema_accepts_what_we_ship(file: Path) -> None:
    assert accepts(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", [SMALL, FULL])
def test_schema_accepts_what_loads(text: str) -> None:
    assert accepts(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https://gitlab.example.com", "${env:URL}"),
        ("audiences:", "leeway: ${env:URL}\n    max_token_bytes: ${env:SIZE}\n    audiences:"),
        ("    upstream:", "    max_body: 0\n    upstream:"),
        ("    upstream:", "    max_body: 4096\n    upstream:"),
        ('"42"', "[1, a, true]"),
        ('"42"', "{contains: [a]}"),
        ('"42"', "{prefix: a, separator: /}"),
        ("issuer: gitlab\n", "issuer: gitlab\n        expires: 2027-01-31T18:00:00Z\n"),
    ],
)
def test_schema_accepts_every_way_to_write_a_value(old: str, new: str) -> None:
    assert accepts(changed(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("audiences:", "audience:"),
        ("[https://api.example.com]", "[]"),
        ("[https://api.example.com]", "[42]"),
        ("audiences:", "profile: gitlab\n    audiences:"),
        ("audiences:", "algorithms: [HS256]\n    audiences:"),
        ("audiences:", "leeway: 30\n    audiences:"),
        ("audiences:", "leeway: 1h30m\n    audiences:"),
        ("audiences:", "max_token_bytes: 1KB\n    audiences:"),
        ("audiences:", "typ: []\n    audiences:"),
        ("[/deployments/**]", "[deployments]"),
        ("[/deployments/**]", "[]"),
        ("name: deployments", "name: a b"),
        ('"42"', "{contain: a}"),
        ('"42"', "[]"),
        ('"42"', "{prefix: a}"),
        ("audit: {stdout: true}\n", ""),
        ("stdout: true", "stdout: yes"),
        ("issuer: gitlab\n", "issuer: gitlab\n        expires: 2027-01-31\n"),
    ],
)
def test_schema_refuses_what_does_not_load(old: str, new: str) -> None:
    assert not accepts(changed(old, new))


def test_titles_are_gone_and_descriptions_are_there() -> None:
    text = json_schema_text()
    assert text.count('"title"') == 1
    assert json.loads(text)["properties"]["issuers"]["description"].startswith("Identity providers")


def test_defaults_are_written_as_in_a_file() -> None:
    listen = json.loads(json_schema_text())["$defs"]["Listen"]["properties"]
    assert listen["max_header_bytes"]["default"] == "32KiB"
    assert listen["address"]["default"] == "127.0.0.1:8080"


def test_text_ends_in_a_line_end_and_is_the_same_each_time() -> None:
    assert json_schema_text().endswith("}\n")
    assert json_schema_text() == json_schema_text()
