"""The build that a bug report names is the one that runs."""

import os
import platform

from proxy import __version__
from proxy.build import BUILD, describe


def test_the_build_is_the_one_that_was_asked_for() -> None:
    asked_for = "compiled" if os.environ.get("ROLEGATE_COMPILE") == "1" else "interpreted"
    assert asked_for == BUILD


def test_one_line_says_what_runs() -> None:
    assert describe() == f"rolegate {__version__} ({BUILD}, CPython {platform.python_version()})"
