import io
import json
import stat
from pathlib import Path

import pytest

from proxy.cli.main import main
from proxy.cli.token import ALGORITHMS, PROFILES, is_nobodys
from proxy.identify.strict import decode_base64url, decode_object

ISSUER = "https://gitlab.example.com"
AUDIENCE = "https://api.example.com"
CONFIG = f"""
audit: {{stdout: true}}
issuers:
  gitlab: {{url: "{ISSUER}", audiences: ["{AUDIENCE}"], profile: gitlab-ci, jwks_file: keys.json}}
roles:
  deployer:
    bindings: [{{issuer: gitlab, claims: {{project_id: "7301"}}}}]
"""

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, capsys: Captured) -> Path:
    """A folder with a development key, a configuration that pins it, and a file for nobody."""
    mint(tmp_path, "--new-key", str(tmp_path / "dev.pem"))
    capsys.readouterr()
    assert main(["token", "jwks", "--key", str(tmp_path / "dev.pem")]) == 0
    (tmp_path / "keys.json").write_text(capsys.readouterr().out)
    (tmp_path / "rolegate.yaml").write_text(CONFIG)
    return tmp_path


def mint(folder: Path, *options: str) -> int:
    key = () if {"--key", "--new-key"} & set(options) else ("--key", str(folder / "dev.pem"))
    issuer = () if "--issuer" in options else ("--issuer", ISSUER)
    return main(["token", "mint", *key, *issuer, "--audience", AUDIENCE, *options])


def minted(folder: Path, capsys: Captured, *options: str) -> str:
    assert mint(folder, *options) == 0, capsys.readouterr().err
    return capsys.readouterr().out.strip()


def part(token: str, number: int) -> dict[str, object]:
    return decode_object(decode_base64url(token.split(".")[number].encode()))


def inspect(folder: Path, token: str, *options: str) -> int:
    return main(["token", "inspect", token, "--config", str(folder / "rolegate.yaml"), *options])


class TestMint:
    def test_new_key_is_for_its_owner_and_announced_beside_the_token(
        self, tmp_path: Path, capsys: Captured
    ) -> None:
        key = tmp_path / "dev.pem"
        assert mint(tmp_path, "--new-key", str(key)) == 0
        printed = capsys.readouterr()
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert printed.out.count(".") == 2
        assert printed.out.count("\n") == 1
        assert f"rolegate token jwks --key {key}" in printed.err

    def test_key_is_never_written_over(self, folder: Path, capsys: Captured) -> None:
        before = (folder / "dev.pem").read_bytes()
        assert mint(folder, "--new-key", str(folder / "dev.pem")) == 2
        assert (folder / "dev.pem").read_bytes() == before
        assert capsys.readouterr().out == ""

    def test_claims_are_text_unless_they_say_otherwise(self, folder: Path, capsys: Captured) -> None:
        options = ("--claim", "project_id=42", "--claim", "runner_id:=15", "--claim", "note=a=b")
        claims = part(minted(folder, capsys, "--profile", "gitlab-ci", *options), 1)
        assert claims["project_id"] == "42"
        assert claims["runner_id"] == 15
        assert claims["note"] == "a=b"
        assert claims["ref_protected"] == "true"

    def test_lifetime_type_and_audiences_are_as_asked(self, folder: Path, capsys: Captured) -> None:
        token = minted(folder, capsys, "--lifetime", "10m", "--typ", "at+jwt", "--audience", "second")
        claims = part(token, 1)
        assert isinstance(claims["exp"], int)
        assert isinstance(claims["iat"], int)
        assert claims["exp"] - claims["iat"] == 600
        assert claims["aud"] == [AUDIENCE, "second"]
        assert part(token, 0)["typ"] == "at+jwt"

    @pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA"])
    def test_new_key_suits_the_algorithm(self, algorithm: str, tmp_path: Path, capsys: Captured) -> None:
        token = minted(tmp_path, capsys, "--new-key", str(tmp_path / "k.pem"), "--alg", algorithm)
        assert part(token, 0)["alg"] == algorithm

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--issuer", "https://gitlab.com"), "may be somebody's issuer"),
            (("--alg", "ES256"), "signs with `RS256`"),
            (("--lifetime", "1"), "expected a duration such as `30s`"),
            (("--claim", "project_id"), "expected a claim as `NAME=TEXT` or `NAME:=JSON`"),
            (("--claim", "=x"), "expected a claim as `NAME=TEXT` or `NAME:=JSON`"),
            (("--claim", "runner_id:=x"), "expected JSON behind `runner_id:=`"),
            (("--key", "/nowhere/dev.pem"), "cannot read `/nowhere/dev.pem`"),
        ],
    )
    def test_bad_input_is_named(
        self, options: tuple[str, ...], message: str, folder: Path, capsys: Captured
    ) -> None:
        assert mint(folder, *options) == 2
        printed = capsys.readouterr()
        assert message in printed.err
        assert printed.out == ""

    def test_bad_input_leaves_no_new_key(self, tmp_path: Path) -> None:
        assert mint(tmp_path, "--new-key", str(tmp_path / "dev.pem"), "--lifetime", "x") == 2
        assert list(tmp_path.iterdir()) == []

    def test_foreign_issuer_has_to_be_asked_for_by_a_dangerous_name(
        self, folder: Path, capsys: Captured
    ) -> None:
        token = minted(folder, capsys, "--issuer", "https://gitlab.com", "--unsafe-foreign-issuer")
        assert part(token, 1)["iss"] == "https://gitlab.com"

    def test_key_that_others_can_read_is_mentioned(self, folder: Path, capsys: Captured) -> None:
        (folder / "dev.pem").chmod(0o644)
        assert mint(folder) == 0
        assert "chmod 600" in capsys.readouterr().err

    def test_choices_are_those_of_the_proxy(self) -> None:
        from proxy.demo import keys
        from proxy.identify.profiles import PROFILES as KNOWN

        assert set(PROFILES) == set(KNOWN)
        assert set(ALGORITHMS) == set(keys.ALGORITHMS)


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("http://127.0.0.1:9999", True),
        ("http://[::1]:1", True),
        ("http://localhost/x", True),
        ("https://gitlab.example.com", True),
        ("https://a.test", True),
        ("https://gitlab.com", False),
        ("https://notexample.com", False),
        ("https://example.com.evil.net", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_nobodys_issuers(issuer: str, expected: bool) -> None:
    assert is_nobodys(issuer) is expected


class TestInspect:
    def test_good_token_is_shown_with_its_times(self, folder: Path, capsys: Captured) -> None:
        token = minted(folder, capsys, "--profile", "gitlab-ci", "--lifetime", "30m")
        assert inspect(folder, token) == 0
        printed = capsys.readouterr().out
        assert "UTC, in 29 min" in printed
        assert "ok  the signature is valid" in printed
        assert "roles=['deployer']" in printed
        assert printed.endswith("verdict    it is good\n")

    def test_signature_is_never_printed(self, folder: Path, capsys: Captured) -> None:
        token = minted(folder, capsys)
        signature = token.rpartition(".")[2]
        for options in ((), ("--output", "json")):
            inspect(folder, token, *options)
            printed = capsys.readouterr()
            assert signature[:20] not in printed.out + printed.err

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (("--claim", "exp:=5"), "token-expired"),
            (("--claim", "aud=elsewhere"), "audience-mismatch"),
            (("--issuer", "https://other.example.com"), "issuer-unknown"),
            (("--typ", "at+jwt"), "type-refused"),
            (("--claim", 'cnf:={"jkt":"x"}'), "token-bound"),
            (("--alg", "PS256"), "algorithm-refused"),
        ],
    )
    def test_token_that_would_be_refused_says_why(
        self, options: tuple[str, ...], reason: str, folder: Path, capsys: Captured
    ) -> None:
        token = minted(folder, capsys, *options)
        assert inspect(folder, token) == 1
        printed = capsys.readouterr().out
        assert f"({reason}" in printed
        assert printed.endswith("verdict    it would be refused\n")

    def test_changed_token_is_refused_with_a_configuration_only(self, folder: Path, capsys: Captured) -> None:
        one, other = minted(folder, capsys), minted(folder, capsys, "--claim", "sub=other")
        forged = f"{one.rpartition('.')[0]}.{other.rpartition('.')[2]}"
        assert main(["token", "inspect", forged]) == 0
        assert "with --config PATH its signature is checked too" in capsys.readouterr().out
        assert inspect(folder, forged) == 1
        assert "signature-invalid" in capsys.readouterr().out

    def test_json_has_the_same_to_say(self, folder: Path, capsys: Captured) -> None:
        token = minted(folder, capsys, "--claim", "exp:=5")
        assert inspect(folder, token, "--output", "json") == 1
        answer = json.loads(capsys.readouterr().out)
        assert answer["refused"] is True
        assert answer["claims"]["exp"] == 5
        assert answer["header"]["alg"] == "RS256"
        assert answer["checks"][-1].startswith("no: ")

    @pytest.mark.parametrize("text", ["{}\n", "Bearer {}", "authorization: bearer {}\r\n"])
    def test_token_may_come_on_standard_input_and_as_a_header(
        self, text: str, folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = minted(folder, capsys)
        monkeypatch.setattr("sys.stdin", io.StringIO(text.format(token)))
        assert main(["token", "inspect"]) == 0

    @pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "a.b.c.d.e", "two words", "é.é.é"])
    def test_what_is_no_token_is_exit_code_2(self, text: str, capsys: Captured) -> None:
        assert main(["token", "inspect", text]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err

    def test_issuer_that_cannot_be_reached_is_told_once(self, folder: Path, capsys: Captured) -> None:
        """Port 1 on loopback: nobody listens there."""
        config = folder / "rolegate.yaml"
        config.write_text(CONFIG.replace(ISSUER, "http://127.0.0.1:1").replace(", jwks_file: keys.json", ""))
        token = minted(folder, capsys, "--issuer", "http://127.0.0.1:1")
        assert inspect(folder, token) == 1
        printed = capsys.readouterr()
        assert "keys-unavailable" in printed.out
        assert printed.out.count("cannot be fetched") == 1
        assert printed.err == ""

    def test_bad_configuration_is_exit_code_2(self, folder: Path, capsys: Captured) -> None:
        token = minted(folder, capsys)
        (folder / "rolegate.yaml").write_text("nope: 1")
        assert inspect(folder, token) == 2
        assert "unknown key `nope`" in capsys.readouterr().err
