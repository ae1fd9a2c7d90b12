import io
import json
import time
from pathlib import Path

import pytest

from proxy.cli.main import main
from proxy.demo.keys import DevelopmentKey, new_key
from proxy.demo.tokens import SHAPES, mint, registered

CONFIG = """
audit: {stdout: true}
issuers:
  gitlab: {url: https://gitlab.test, audiences: [here, there], profile: gitlab-ci, jwks_file: keys.json}
  far: {url: https://far.test, audiences: [here]}
roles:
  deployer:
    bindings: [{issuer: gitlab, claims: {project_id: "7301"}}]
upstreams:
  one: {url: http://127.0.0.1:1}
routes:
  - name: deployments
    match: {hosts: [a.test], paths: [/deployments/**]}
    upstream: one
    audiences: [here]
    allow: [{roles: [deployer], methods: [GET]}]
    deny: [{paths: [/deployments/frozen/**]}]
  - name: all
    match: {paths: [/open/**]}
    upstream: one
    public: true
"""

Captured = pytest.CaptureFixture[str]
ONE = "https://a.test/deployments/7"


@pytest.fixture(scope="module")
def key() -> DevelopmentKey:
    return new_key("ES256")


@pytest.fixture
def folder(tmp_path: Path, key: DevelopmentKey) -> Path:
    (tmp_path / "rolegate.yaml").write_text(CONFIG)
    (tmp_path / "keys.json").write_text(json.dumps(key.jwks()))
    return tmp_path


def token(key: DevelopmentKey, **claims: object) -> str:
    return mint(key, SHAPES["gitlab-ci"], registered("https://gitlab.test", "here", time.time()), claims)


def explain(folder: Path, *arguments: str) -> int:
    return main(["explain", "--config", str(folder / "rolegate.yaml"), *arguments])


def test_allowed_request_shows_binding_route_and_rules(
    folder: Path, key: DevelopmentKey, capsys: Captured
) -> None:
    assert explain(folder, "--token", token(key), "GET", ONE) == 0
    printed = capsys.readouterr().out
    for words in (
        "bindings[0] gives `deployer`",
        "chosen    deployments",
        "no match  all",
        "deployments.deny[0] does not hold",
        "deployments.allow[0] holds",
    ):
        assert words in printed
    assert printed.endswith("decision  allowed by deployments.allow[0] (allowed)\n")


@pytest.mark.parametrize(
    ("method", "url", "claims", "decision"),
    [
        ("POST", ONE, {}, "denied (no-rule-matched)"),
        ("GET", ONE, {"project_id": "1"}, "denied (no-rule-matched)"),
        ("GET", "https://a.test/deployments/frozen/1", {}, "denied by deployments.deny[0] (denied-by-rule)"),
        ("GET", "https://a.test/nowhere", {}, "denied (no-route)"),
        ("GET", "https://a.test/.rolegate/x", {}, "denied (no-route)"),
        ("GET", "https://a.test/deployments/a%2Fb", {}, "denied (ambiguous-path)"),
        ("GET", "https://a.test/deployments/../open/1", {}, "denied (ambiguous-path)"),
        ("GET", "https://a.test//deployments/1", {}, "denied (ambiguous-path)"),
        ("GET", "https://127.1/deployments/1", {}, "denied (ambiguous-host)"),
        ("TRACE", ONE, {}, "denied (method-refused)"),
        ("GET", ONE, {"exp": 5}, "denied (token-expired)"),
        ("GET", ONE, {"aud": "there"}, "denied (audience-mismatch)"),
        ("GET", "https://a.test/open/1", {"exp": 5}, "denied (token-expired)"),
        ("GET", "https://b.test/open/1", {}, "allowed (public)"),
    ],
)
def test_decision_is_the_data_planes(
    method: str,
    url: str,
    claims: dict[str, object],
    decision: str,
    folder: Path,
    key: DevelopmentKey,
    capsys: Captured,
) -> None:
    is_allowed = decision.startswith("allowed")
    assert explain(folder, "--token", token(key, **claims), method, url) == (0 if is_allowed else 1)
    assert capsys.readouterr().out.endswith(f"decision  {decision}\n")


def test_nobody_is_told_that_a_credential_comes_first(folder: Path, capsys: Captured) -> None:
    assert explain(folder, "GET", "https://a.test/nowhere") == 1
    printed = capsys.readouterr().out
    assert "identity  none: no credential was presented" in printed
    assert "because   without a credential nobody learns which routes exist" in printed


def test_refused_token_shows_its_checks_and_not_itself(
    folder: Path, key: DevelopmentKey, capsys: Captured
) -> None:
    good = token(key)
    forged = f"{good.rpartition('.')[0]}.{token(key, sub='x').rpartition('.')[2]}"
    assert explain(folder, "--token", forged, "GET", ONE) == 1
    printed = capsys.readouterr().out
    assert "token     refused" in printed
    assert "no  the signature is valid" in printed
    assert forged[-20:] not in printed


def test_claims_stand_for_a_token_without_key_or_network(folder: Path, capsys: Captured) -> None:
    """The issuer `far` would have to be asked for keys."""
    claims = folder / "claims.json"
    claims.write_text(json.dumps({"project_id": "7301", "exp": 5}))
    assert explain(folder, "--claims", str(claims), "--issuer", "gitlab", "GET", ONE) == 0
    assert explain(folder, "--claims", str(claims), "--issuer", "far", "GET", ONE) == 1
    assert "no-rule-matched" in capsys.readouterr().out


def test_what_a_profile_asks_of_bindings_is_shown(
    folder: Path, key: DevelopmentKey, capsys: Captured
) -> None:
    """A pipeline for a merge request: no binding was written with those in mind."""
    assert explain(folder, "--token", token(key, pipeline_source="merge_request_event"), "GET", ONE) == 1
    assert "the binding compares `pipeline_source`, which this token asks for" in capsys.readouterr().out


@pytest.mark.parametrize("from_stdin", [False, True])
def test_token_may_be_in_a_file(
    from_stdin: bool, folder: Path, key: DevelopmentKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "token.txt").write_text(f"Bearer {token(key)}\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(token(key)))
    file = "-" if from_stdin else str(folder / "token.txt")
    assert explain(folder, "--token-file", file, "GET", ONE) == 0


def test_json_has_everything(folder: Path, key: DevelopmentKey, capsys: Captured) -> None:
    assert explain(folder, "--token", token(key), "--output", "json", "GET", ONE) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["decision"] == {"allowed": True, "reason": "allowed", "rule": "deployments.allow[0]"}
    assert answer["explanation"]["decision"] == answer["decision"]
    assert answer["explanation"]["roles"] == ["deployer"]
    assert all(line.startswith("ok: ") for line in answer["token"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("GET", "/deployments/7"), "expected a whole URL"),
        (("GET", "ftp://a.test/"), "expected a whole URL"),
        (("get", ONE), "expected a method in capitals"),
        (("--issuer", "gitlab", "GET", ONE), "`--claims` and `--issuer` go together"),
        (("--claims", "/nowhere.json", "--issuer", "gitlab", "GET", ONE), "cannot read claims"),
        (("--token-file", "/nowhere.txt", "GET", ONE), "cannot read a token"),
        (("--token", "two words here", "GET", ONE), "expected one token"),
    ],
)
def test_bad_input_is_named(arguments: tuple[str, ...], message: str, folder: Path, capsys: Captured) -> None:
    assert explain(folder, *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("content", "issuer"), [("[]", "gitlab"), ("{", "gitlab"), ("{}", "nope")])
def test_claims_that_cannot_be_used_are_bad_input(
    content: str, issuer: str, folder: Path, capsys: Captured
) -> None:
    (folder / "claims.json").write_text(content)
    assert explain(folder, "--claims", str(folder / "claims.json"), "--issuer", issuer, "GET", ONE) == 2
    assert capsys.readouterr().err


def test_bad_configuration_is_exit_code_2(folder: Path, capsys: Captured) -> None:
    (folder / "rolegate.yaml").write_text("nope: 1")
    assert explain(folder, "GET", ONE) == 2
    assert "unknown key `nope`" in capsys.readouterr().err
