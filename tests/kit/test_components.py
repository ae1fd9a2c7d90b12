"""What becomes of a test whose component is missing, seen from outside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.programs import find_program, is_present

ROOT = Path(__file__).parents[2]

MODULE = """
import pytest

@pytest.mark.component("haproxy")
def test_needs_haproxy():
    pass

@pytest.mark.xfail(strict=True, reason="known")
def test_expected_failure():
    assert False
"""


NOTHING_INSTALLED = """
import tests.kit.programs

tests.kit.programs.SEARCH_PATH = "/nowhere"
"""

SKIPPED_MODULE = """
import pytest

pytest.importorskip("no_such_package")
"""


def run_pytest(folder: Path, module: str, *, no_skip: bool) -> tuple[int, str]:
    """Run pytest on `module` with a path on which nothing is installed."""
    (folder / "test_module.py").write_text(module)
    (folder / "conftest.py").write_text(NOTHING_INSTALLED)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    component(name): needs it\n")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-q", "-rs"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ROLEGATE_NO_SKIP": "1" if no_skip else ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return result.returncode, result.stdout


def test_a_missing_component_is_named_by_the_skip(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, MODULE, no_skip=False)
    assert code == 0
    assert "needs haproxy, which is not installed" in output
    assert "1 skipped, 1 xfailed" in output


def test_where_skips_are_refused_a_missing_component_fails(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, MODULE, no_skip=True)
    assert code == 1
    assert "skipped while ROLEGATE_NO_SKIP=1 refuses skips: Skipped: needs haproxy" in output
    assert "1 xfailed, 1 error" in output


def test_where_skips_are_refused_a_skipped_module_fails(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, SKIPPED_MODULE, no_skip=True)
    assert code == 2
    assert "refuses skips" in output


def test_an_unknown_component_is_an_error() -> None:
    with pytest.raises(ValueError, match="no component is called `ngnix`; known: curl,"):
        is_present("ngnix")


def test_a_program_is_found_or_not() -> None:
    assert find_program("sh") is not None
    assert find_program("no-such-program") is None
