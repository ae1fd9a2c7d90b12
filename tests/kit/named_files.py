"""The certificates and keys that a configuration names, so that what we ship can be loaded as it is."""

import json
import re
from pathlib import Path

from tests.kit.certificates import Authority
from tests.kit.local_proxy import public_jwk

_KEY_SETS = re.compile(r"\bjwks_file: ([\w./-]+)")
_NAMED = re.compile(r"\b(ca|certificate|key)_file: ([\w./-]+)")


def make_named_files(text: str, folder: Path) -> None:
    """Put a file where the configuration `text` in `folder` names one; all pairs are the same pair."""
    made = folder / "made"
    made.mkdir(exist_ok=True)
    authority = Authority(made)
    issued = authority.server("api.example.com")
    sources = {"ca": authority.ca_file, "certificate": issued.certificate_file, "key": issued.key_file}
    for kind, name in _NAMED.findall(text):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sources[kind].read_bytes())
        path.chmod(0o600)
    for name in _KEY_SETS.findall(text):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"keys": [public_jwk()]}))
