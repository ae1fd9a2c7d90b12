"""
Configuration files become `Settings`, or a `SettingsError` with everything that is wrong at once.

Files that cannot be read or are not YAML are reported first and alone, since what they would have
defined is missing everywhere else. `jwks_file`, `ca_file` and `${file:…}` are relative to the
folder of the configuration; `audit.file` is relative to the working directory. Loading opens no
sockets, reads no clock, and looks at no file other than the configuration and `${file:…}`.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from proxy.settings.crosscheck import crosscheck
from proxy.settings.crosscheck_upstreams import crosscheck_upstreams
from proxy.settings.explain import explain
from proxy.settings.merge import config_files, merge, read_all
from proxy.settings.places import Places
from proxy.settings.problem import Collector
from proxy.settings.resolve import data, resolve
from proxy.settings.schema import Settings
from proxy.settings.secrets import References


def load(path: Path, *, environ: Mapping[str, str] | None = None) -> Settings:
    """
    Return the settings that the file, or the folder of files, at `path` holds.

    `environ` stands in for the environment of the process. Raises `SettingsError`, whose message
    has a line for each problem and whose `problems` has them as values.
    """
    folder = path if path.is_dir() else path.parent
    references = References(os.environ if environ is None else environ, folder)
    problems = Collector()
    documents = read_all(config_files(path))
    for document in documents:
        resolve(document, references, problems)
    root = merge(documents, problems)
    places = Places(root)
    settings = None
    try:
        settings = Settings.model_validate(data(root), context={"folder": folder, "places": places})
    except ValidationError as error:
        explain(error, places, problems)
    crosscheck(root, places, problems)
    crosscheck_upstreams(root, places, problems)
    problems.raise_if_any()
    assert settings is not None
    return settings
