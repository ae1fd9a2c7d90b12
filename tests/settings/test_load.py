import json
import time
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.errors import ConfigurationError
from proxy.settings.addresses import Address
from proxy.settings.load import load
from proxy.settings.problem import Problem, SettingsError
from proxy.settings.section import Section
from tests.settings.files import SMALL, AnyType, changed, load_text, problems_of, write

FULL = r"""
{
    "listen": {
        "address": "[::1]:8443", "max_connections": 7, "max_connections_per_client": 3,
        "max_requests_per_connection": 9,
        "rate_limits": ["c"], "min_rates": {"request_body": 100, "response": "1KiB", "window": "5s"},
        "max_header_bytes": "64KiB", "max_header_line_bytes": "8KiB", "max_header_count": 50,
        "max_target_bytes": 4096, "trusted_proxies": ["10.0.0.0\/8", "::1"],
        "tls": {
            "certificates": [{"certificate_file": "a.crt", "key_file": "a.key"}], "min_version": "1.3",
            "client_certificates": {"ca_file": "ca.pem", "required": false}
        },
        "proxy_protocol": {"peers": ["10.1.0.0/16"]}, "handshake_timeout": "3s", "trust_peers": false,
        "timeouts": {
            "headers": "5s", "body_idle": "1m", "keep_alive": "2m", "write_idle": "500ms", "shutdown": "1h"
        }
    },
    "workers": 4,
    "admin": {"address": "localhost:1"},
    "audit": {"file": "audit.jsonl", "node": "n\u00f6de \ud83d\ude00"},
    "identity_headers": {"subject": "X-Who", "issuer": "X-Whence", "roles": "X-As", "request_id": "X-Id"},
    "token_cache": {"max_entries": 5, "failures": {"max_entries": 6, "ttl": "2s"}},
    "rate_limit_table": {"max_entries": 100},
    "rate_limits": {
        "c": {"per": "client", "rate": "100/1m", "burst": 20},
        "i": {"per": "identity", "rate": "5/s", "burst": 5, "roles": ["r"]}
    },
    "issuers": {"idp": {
        "url": "https:\/\/idp.example", "audiences": ["a", "b"], "profile": "keycloak",
        "algorithms": ["PS512"], "leeway": "0s", "max_lifetime": "1d", "max_token_bytes": "8KiB",
        "typ": ["application/AT+JWT", ""], "groups_claims": ["groups", "/realm_access/roles"],
        "jwks_file": "keys/idp.json", "ca_file": "/etc/ca.pem", "required": false,
        "keys": {"fresh_for": "1m", "stale_for": "1h", "cooldown": "1s", "timeout": "2s"}
    }},
    "roles": {"r": {"description": "d", "bindings": [{
        "issuer": "idp", "groups": ["g"], "expires": "2027-01-31T18:00:00Z",
        "claims": {
            "a": ["x", 1, true], "/b/c": {"contains": "y"}, "d": {"prefix": "p", "separator": "/"}
        }
    }]}},
    "upstreams": {"u": {
        "url": "https://[::1]:9", "max_connections": 1, "max_waiting": 2, "balance": "consistent-hash",
        "timeouts": {"connect": "1s", "wait": "5s", "response": "2s", "body_idle": "3s", "keep_alive": "4s"},
        "health": {
            "path": "/healthz", "host": "a.example", "interval": "1s", "timeout": "2s", "healthy_after": 3,
            "unhealthy_after": 4, "statuses": [204]
        },
        "ejection": {"after": 1, "server_errors": true, "time": "2s", "max_time": "3s", "max_percent": 40},
        "retries": {"attempts": 1, "budget_percent": 2, "reserve": 3},
        "dns": {"refresh": "1s", "deny_networks": ["10.0.0.0/8"], "unsafe_allow_metadata": true},
        "tls": {
            "ca_file": "ca.pem", "server_name": "b.example", "certificate_file": "/c.pem",
            "key_file": "k.pem", "minimum_version": "1.3"
        }
    }},
    "routes": [{
        "name": "n", "description": "d",
        "match": {"hosts": ["*.a.example"], "paths": ["/x/*", "/y/**"], "methods": ["GET"]},
        "upstream": "u", "public": false, "audiences": ["a"], "encoded_slashes": true,
        "unsafe_forward_credential": true, "max_body": "1MiB",
        "rate_limits": ["i"], "max_in_flight": 8,
        "timeouts": {"response": "7s", "body_idle": "8s", "idle": "7s"}, "rewrite": {"add_prefix": "/z"},
        "upgrade": ["WebSocket", "SPDY/3.1"], "unsafe_streams_outlive_token": true,
        "allow": [{
            "roles": ["r"], "issuers": ["idp"], "methods": ["GET"], "paths": ["/x/*"], "claims": {"a": 1}
        }],
        "deny": [{"paths": ["/y/z"]}]
    }]
}
""".replace("    ", "\t")


def test_every_key_is_read_from_json(tmp_path: Path) -> None:
    settings = load(write(tmp_path, FULL, "rolegate.json"), environ={})
    assert settings.listen.address == Address("::1", 8443)
    assert settings.listen.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))
    assert settings.listen.timeouts.write_idle == 0.5
    assert settings.audit.node == "nöde 😀"
    assert settings.issuers["idp"].typ == ("at+jwt", "")
    assert settings.issuers["idp"].required is False
    assert settings.roles["r"].bindings[0].expires == 1_801_418_400.0
    assert settings.upstreams["u"].endpoints[0].host == "::1"
    assert settings.routes[0].max_body == 1_048_576
    assert settings.routes[0].upgrade == ("websocket", "spdy/3.1")
    assert settings.routes[0].timeouts.idle == 7.0
    assert settings.routes[0].unsafe_streams_outlive_token is True
    assert settings.routes[0].unsafe_forward_credential is True


def missing(value: AnyType, model: AnyType, at: str) -> list[str]:
    """Return the keys that `value` leaves out of those that `model`, which was made of it, has."""
    if isinstance(value, list) and isinstance(model, tuple):
        return [name for pair in zip(value, model, strict=True) for name in missing(*pair, at)]
    if not isinstance(value, dict):
        return []
    if isinstance(model, Section):
        absent = [f"{at}.{name}" for name in type(model).model_fields if name not in value]
        model = {name: getattr(model, name) for name in value}
    else:
        absent = []
    if isinstance(model, dict):
        absent += [name for key in value for name in missing(value[key], model[key], f"{at}.{key}")]
    return absent


def test_full_configuration_names_every_key_of_the_schema(tmp_path: Path) -> None:
    """So that the test above cannot forget a key."""
    written = json.loads(FULL)
    settings = load(write(tmp_path, FULL, "rolegate.json"), environ={})

    absent = missing(written, settings, "")
    alternatives = {".audit.stdout", ".issuers.idp.jwks_url", ".listen.mode", ".listen.sockets"}
    alternatives |= {".routes.rewrite.strip_prefix", ".upstreams.u.urls"}
    deny = {f".routes.deny.{name}" for name in ("roles", "issuers", "methods", "claims")}
    assert set(absent) == alternatives | deny | {".rate_limits.c.roles"}


def test_files_of_an_issuer_are_relative_to_the_folder_of_the_configuration(tmp_path: Path) -> None:
    settings = load(write(tmp_path, FULL, "rolegate.json"), environ={})
    assert settings.issuers["idp"].jwks_file == tmp_path / "keys/idp.json"
    assert settings.issuers["idp"].ca_file == Path("/etc/ca.pem")


def test_folder_is_the_base_of_its_files(tmp_path: Path) -> None:
    write(tmp_path, FULL, "rolegate.json")
    assert load(tmp_path, environ={}).issuers["idp"].jwks_file == tmp_path / "keys/idp.json"


def test_audit_file_is_relative_to_the_working_directory(tmp_path: Path) -> None:
    assert load(write(tmp_path, FULL, "rolegate.json"), environ={}).audit.file == Path("audit.jsonl")


def test_references_reach_values_of_any_text_type(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://idp.example\n", encoding="utf-8")
    text = changed("https://gitlab.example.com", "${file:url}\n    leeway: ${env:LEEWAY}")
    text = text.replace("audit: {stdout: true}", "audit:\n  file: ${env:DIR}/audit.jsonl")
    text = text.replace("[https://api.example.com]", "['$${x}']")
    settings = load_text(tmp_path, text, {"LEEWAY": "5s", "DIR": "/var"})
    assert settings.issuers["gitlab"].url == "https://idp.example"
    assert settings.issuers["gitlab"].leeway == 5.0
    assert settings.issuers["gitlab"].audiences == ("${x}",)
    assert settings.audit.file == Path("/var/audit.jsonl")


def test_environment_of_the_process_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLEGATE_TEST_URL", "https://idp.example")
    path = write(tmp_path, changed("https://gitlab.example.com", "${env:ROLEGATE_TEST_URL}"))
    assert load(path).issuers["gitlab"].url == "https://idp.example"


@pytest.mark.parametrize(
    "moment", ["2027-01-31T18:00:00Z", "'2027-01-31T18:00:00Z'", '"2027-01-31T19:00:00+01:00"']
)
def test_moment_may_stand_with_and_without_quotes(tmp_path: Path, moment: str) -> None:
    text = changed("      - issuer: gitlab\n", f"      - issuer: gitlab\n        expires: {moment}\n")
    assert load_text(tmp_path, text).roles["deployer"].bindings[0].expires == 1_801_418_400.0


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "2027-01-31"])
def test_doubtful_word_is_text_where_only_text_can_be_meant(tmp_path: Path, word: str) -> None:
    text = changed("  deployer:\n", f"  deployer:\n    description: {word}\n")
    assert load_text(tmp_path, text).roles["deployer"].description == word


@pytest.mark.parametrize("word", ["010", "12:30", "1_000", "0o7", "0x1F", "1e3"])
def test_doubtful_number_is_refused_even_as_a_description(tmp_path: Path, word: str) -> None:
    (problem,) = problems_of(tmp_path, changed("  deployer:\n", f"  deployer:\n    description: {word}\n"))
    assert f'for text write `"{word}"`' in problem


def test_alias_may_share_claims(tmp_path: Path) -> None:
    text = changed("claims: {", "claims: &claims {") + "        claims: *claims\n"
    settings = load_text(tmp_path, text)
    assert settings.routes[0].allow[0].claims == settings.roles["deployer"].bindings[0].claims


def test_error_is_a_configuration_error_with_problems(tmp_path: Path) -> None:
    path = write(tmp_path, changed("issuer: gitlab", "issuer: gitlap"))
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ={})
    assert isinstance(caught.value, SettingsError)
    message = "expected the name of an issuer, got `gitlap`; did you mean `gitlab`?"
    assert caught.value.problems == (Problem(f"{path}:9:17", "roles.deployer.bindings[0].issuer", message),)
    assert str(caught.value) == f"{path}:9:17: roles.deployer.bindings[0].issuer: {message}"


def test_no_secret_hides_in_the_causes_of_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, changed("https://gitlab.example.com", "${env:URL}"))
    with pytest.raises(SettingsError) as caught:
        load(path, environ={"URL": "hunter2"})
    assert caught.value.__cause__ is None
    assert "hunter2" not in repr(caught.value.__context__)


def test_hundreds_of_routes_load_in_well_below_a_second(tmp_path: Path) -> None:
    count = 500
    routes = "".join(
        f"  - name: r{number}\n"
        f"    match: {{hosts: [h{number}.example.com], paths: [/a/**, /b/*], methods: [GET]}}\n"
        f"    upstream: deployments\n    allow:\n      - roles: [deployer]\n        methods: [GET]\n"
        for number in range(count)
    )
    path = write(tmp_path, SMALL + routes)
    started = time.process_time()
    settings = load(path, environ={})
    assert time.process_time() - started < 0.8
    assert len(settings.routes) == count + 1


def test_hundreds_of_mistakes_are_all_reported_in_time(tmp_path: Path) -> None:
    routes = "".join(
        f"  - name: r{number}\n    match: {{paths: [a]}}\n"
        f"    upstream: nope\n    allow: [{{roles: [x{number}]}}]\n"
        for number in range(500)
    )
    started = time.process_time()
    assert len(problems_of(tmp_path, SMALL + routes)) == 1500
    assert time.process_time() - started < 5


SNIPPETS = (
    *(
        "",
        " ",
        "\n",
        "  ",
        "-",
        ": ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        '"',
        "#",
        "&a ",
        "*a",
        "!x ",
        "|",
        ">",
        "? ",
    ),
    *(
        "<<",
        "${env:X}",
        "${",
        "no",
        "010",
        "12:30",
        "null",
        "~",
        "true",
        "42",
        "1.5",
        "\t",
        "\r",
        "\x00",
        "ü",
    ),
    *("- {}", "{}", "[]", "**", "/", "2027-01-31T18:00:00Z", "a", "\u2028", "\\", "%", "@", "`", "---\n"),
)


@given(
    st.lists(st.tuples(st.integers(0, len(SMALL)), st.integers(0, 12), st.sampled_from(SNIPPETS)), max_size=5)
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_damaged_configuration_loads_or_is_refused_with_places(
    tmp_path: Path, cuts: list[tuple[int, int, str]]
) -> None:
    text = SMALL
    for start, length, snippet in cuts:
        text = text[:start] + snippet + text[start + length :]
    path = write(tmp_path, text)
    found: tuple[Problem, ...] = ()
    try:
        load(path, environ={"X": "x"})
    except SettingsError as error:
        found = error.problems or (Problem("", "", "refused without a reason"),)
    assert all(problem.place.startswith(f"{path}:") for problem in found)
    assert all(problem.message.isprintable() for problem in found)
