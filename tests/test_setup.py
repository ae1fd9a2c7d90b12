"""What `make wheel` compiles is compiled where that was asked for, and read as source where it was not."""

import ast
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

IS_COMPILED = os.environ.get("ROLEGATE_COMPILE") == "1"


def compiled_modules() -> list[str]:
    tree = ast.parse((ROOT / "setup.py").read_text())
    [table] = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and "COMPILED" in ast.unparse(node)
    ]
    folders = ast.literal_eval(table)
    return [
        ".".join(part for part in ("proxy", folder, name) if part != ".")
        for folder, names in folders.items()
        for name in names.split()
    ]


@pytest.mark.parametrize("name", compiled_modules())
def test_every_module_comes_as_it_was_asked_for(name: str) -> None:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).suffix == (".so" if IS_COMPILED else ".py")
