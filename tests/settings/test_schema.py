from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from proxy.identify.profiles import PROFILES
from proxy.settings.addresses import Address
from proxy.settings.schema import Settings
from proxy.settings.section import Section
from tests.settings.files import SMALL, load_text


def sections() -> Iterator[type[Section]]:
    """Yield every model of the schema."""
    waiting: list[type[Section]] = [Section]
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        if model is not Section:
            yield model


def test_every_key_says_what_it_means() -> None:
    for model in sections():
        assert model.__doc__
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            assert field.description.endswith(".")


def test_every_section_is_frozen_and_takes_no_other_keys() -> None:
    for model in sections():
        assert model.model_config["frozen"] is True
        assert model.model_config["extra"] == "forbid"


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load_text(tmp_path, SMALL)
    with pytest.raises(ValidationError):
        setattr(settings.listen, "max_connections", 7)  # noqa: B010 - mypy knows that it cannot be assigned


def test_defaults_hold_where_keys_are_absent(tmp_path: Path) -> None:
    settings = load_text(tmp_path, SMALL)
    listen = settings.listen
    assert (listen.address, settings.admin.address) == (
        Address("127.0.0.1", 8080),
        Address("127.0.0.1", 9090),
    )
    assert (listen.max_connections, listen.max_header_count) == (10_000, 100)
    assert (listen.max_header_bytes, listen.max_target_bytes) == (32_768, 8192)
    assert listen.trusted_proxies == ()
    assert listen.timeouts.model_dump() == {
        "headers": 10.0,
        "body_idle": 30.0,
        "keep_alive": 75.0,
        "write_idle": 30.0,
        "shutdown": 30.0,
    }
    assert settings.identity_headers.model_dump() == {
        "subject": "X-Rolegate-Subject",
        "issuer": "X-Rolegate-Issuer",
        "roles": "X-Rolegate-Roles",
        "request_id": "X-Rolegate-Request-Id",
    }
    assert settings.token_cache.max_entries == 10_000
    assert settings.audit.model_dump() == {"file": None, "stdout": True, "node": None}


def test_defaults_of_an_issuer_are_strict(tmp_path: Path) -> None:
    issuer = load_text(tmp_path, SMALL).issuers["gitlab"]
    assert issuer.profile == "generic"
    assert issuer.algorithms == ("RS256", "ES256", "EdDSA")
    assert (issuer.leeway, issuer.max_lifetime, issuer.max_token_bytes) == (30.0, 86_400.0, 16_384)
    assert (issuer.typ, issuer.groups_claims) == (None, None)
    assert (issuer.jwks_url, issuer.jwks_file, issuer.ca_file) == (None, None, None)
    assert issuer.required is True
    assert issuer.keys.model_dump() == {
        "fresh_for": 600.0,
        "stale_for": 86_400.0,
        "cooldown": 30.0,
        "timeout": 5.0,
    }


def test_defaults_of_an_upstream_and_a_route(tmp_path: Path) -> None:
    settings = load_text(tmp_path, SMALL)
    upstream, route = settings.upstreams["deployments"], settings.routes[0]
    assert [endpoint.address for endpoint in upstream.endpoints] == ["127.0.0.1:9000"]
    assert (upstream.max_connections, upstream.max_waiting) == (256, 1024)
    assert upstream.timeouts.model_dump() == {
        "connect": 5.0,
        "wait": None,
        "response": 60.0,
        "body_idle": 60.0,
        "keep_alive": 30.0,
    }
    assert (route.public, route.encoded_slashes, route.unsafe_forward_credential) == (False, False, False)
    assert (route.match.hosts, route.match.methods, route.audiences, route.deny) == ((), (), (), ())
    assert route.max_body is None
    assert (route.upgrade, route.timeouts.idle, route.unsafe_streams_outlive_token) == ((), 300.0, False)


def test_nothing_of_a_value_prints(tmp_path: Path) -> None:
    text = SMALL.replace("https://api.example.com", "${env:AUDIENCE}")
    text = text.replace("audiences: [${env:AUDIENCE}]", 'audiences: ["${env:AUDIENCE}"]')
    settings = load_text(tmp_path, text, {"AUDIENCE": "hunter2"})
    assert settings.issuers["gitlab"].audiences == ("hunter2",)
    assert repr(settings) == str(settings) == "<Settings [1 issuers, 1 roles, 1 upstreams, 1 routes]>"
    assert repr(settings.issuers["gitlab"]) == "<Issuer>"
    assert "hunter2" not in f"{settings!r} {settings} {settings.issuers!r} {settings.issuers['gitlab']}"


def test_every_profile_can_be_configured(tmp_path: Path) -> None:
    for name in PROFILES:
        text = SMALL.replace("    audiences:", f"    profile: {name}\n    audiences:")
        assert load_text(tmp_path, text).issuers["gitlab"].profile == name


def test_settings_that_were_not_read_from_a_file_name_no_place() -> None:
    settings = Settings.model_validate({"audit": {"stdout": True}})
    assert settings.place("audit") == "configuration:1:1"
