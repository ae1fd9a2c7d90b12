"""
Which programs that are not Python packages a test can count on.

A test names what it needs with `@pytest.mark.component("nginx")`; `tests/kit/components` installs them.
"""

import os
import shutil
from pathlib import Path

OIDC = Path(__file__).parent / "oidc"

# nginx and haproxy lie where a plain user's path does not lead.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/sbin"])

PROGRAMS = (
    *("curl", "haproxy", "nginx", "node", "openssl", "prometheus", "promtool", "systemd-socket-activate"),
    "wrk",
)
OIDC_PROVIDER = "oidc-provider"
COMPONENTS = frozenset({*PROGRAMS, OIDC_PROVIDER})


def find_program(name: str) -> str | None:
    """Return where the program `name` is, or None."""
    return shutil.which(name, path=SEARCH_PATH)


def program(name: str) -> str:
    """Return where the program `name` is, or raise `FileNotFoundError` naming it."""
    found = find_program(name)
    if found is None:
        raise FileNotFoundError(f"the program `{name}` is not installed; `tests/kit/components` installs it")
    return found


def is_present(component: str) -> bool:
    """Say whether `component`, one of `COMPONENTS`, can be started here."""
    if component not in COMPONENTS:
        raise ValueError(f"no component is called `{component}`; known: {', '.join(sorted(COMPONENTS))}")
    if component == OIDC_PROVIDER:
        return find_program("node") is not None and (OIDC / "node_modules" / "oidc-provider").is_dir()
    return find_program(component) is not None
