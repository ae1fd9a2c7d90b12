"""`rolegate schema`: the JSON Schema of the configuration, and the reference of its keys."""

import argparse
import sys
from pathlib import Path

EXAMPLE = """\
examples:
  rolegate schema > rolegate.schema.json
  rolegate schema --write config
  rolegate schema --check config

An editor with YAML support completes and checks keys if the configuration begins with
  # yaml-language-server: $schema=rolegate.schema.json

Exit code 1 if `--check` finds a file that is missing or not what would be written.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "schema",
        help="print the JSON Schema of the configuration",
        description="Print the JSON Schema of the configuration, or keep it in a folder with the reference.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--write", type=Path, metavar="DIR", help="write rolegate.schema.json and REFERENCE.md to a folder"
    )
    action.add_argument(
        "--check",
        type=Path,
        nargs="?",
        const=Path("config"),
        metavar="DIR",
        help="compare those files with what would be written (default folder: config)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print, write or compare; return 0, 1 if a file differs, or 2 if one cannot be written."""
    files = generated()
    if arguments.write is not None:
        return _write(arguments.write, files)
    if arguments.check is not None:
        return _check(arguments.check, files)
    print(files["rolegate.schema.json"], end="")
    return 0


def generated() -> dict[str, str]:
    """Return the text of each file by its name."""
    from proxy.settings.json_schema import json_schema_text
    from proxy.settings.reference import reference

    return {"rolegate.schema.json": json_schema_text(), "REFERENCE.md": reference()}


def _write(folder: Path, files: dict[str, str]) -> int:
    for name, text in files.items():
        try:
            (folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            print(f"{folder / name}: cannot be written: {error.strerror}", file=sys.stderr)
            return 2
        print(folder / name)
    return 0


def _check(folder: Path, files: dict[str, str]) -> int:
    stale = [name for name, text in files.items() if _text_of(folder / name) != text]
    for name in stale:
        print(f"{folder / name}: not up to date; run `rolegate schema --write {folder}`", file=sys.stderr)
    return 1 if stale else 0


def _text_of(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
