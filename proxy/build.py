"""Which rolegate runs: its version, and whether what every request passes is compiled."""

import platform
from typing import Final

from proxy import __version__, ids

# One module stands for all: `make wheel` compiles those of the request's way together or not at all.
BUILD: Final = "interpreted" if str(ids.__file__).endswith(".py") else "compiled"


def describe() -> str:
    """Return the version and the build in one line, for people and bug reports."""
    return f"rolegate {__version__} ({BUILD}, {platform.python_implementation()} {platform.python_version()})"
