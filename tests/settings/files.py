"""Configuration files for tests: a small one that loads, and how to see what is wrong with others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from proxy.settings.load import load
from proxy.settings.problem import SettingsError
from proxy.settings.schema import Settings

AnyType: TypeAlias = Any  # the forms that typing gives to types share no class

SMALL = """\
audit: {stdout: true}
issuers:
  gitlab:
    url: https://gitlab.example.com
    audiences: [https://api.example.com]
roles:
  deployer:
    bindings:
      - issuer: gitlab
        claims: {project_id: "42"}
upstreams:
  deployments: {url: "http://127.0.0.1:9000"}
routes:
  - name: deployments
    match: {paths: [/deployments/**]}
    upstream: deployments
    allow:
      - roles: [deployer]
"""


def write(folder: Path, text: str, name: str = "rolegate.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def load_text(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    return load(write(folder, text), environ=environ or {})


def changed(old: str, new: str) -> str:
    """Return the small configuration with one thing changed."""
    assert SMALL.count(old) >= 1, old
    return SMALL.replace(old, new, 1)


def problems_of(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return what is wrong with `text`, one line each, the place as `line:column`."""
    with pytest.raises(SettingsError) as caught:
        load_text(folder, text, environ)
    return [line.removeprefix(f"{folder}/rolegate.yaml:") for line in str(caught.value).splitlines()]
