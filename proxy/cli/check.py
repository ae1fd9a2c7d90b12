"""`rolegate check`: whether a configuration can be used, and everything that is wrong if not."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.settings.problem import Problem
    from proxy.settings.schema import Settings

EXAMPLE = """\
examples:
  rolegate check --config config/rolegate.yaml
  rolegate check --config /etc/rolegate/ --output json

Exit code 0 if the configuration can be used, 2 if not; all problems are reported at once, each with
file, line and column. Nothing is fetched and no port is opened.
"""

_COUNTED = {"issuers": "issuer", "roles": "role", "upstreams": "upstream", "routes": "route"}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "check",
        help="say whether a configuration can be used",
        description="Load a configuration as `serve` would and report everything that is wrong with it.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("config/rolegate.yaml"),
        metavar="PATH",
        help="a YAML or JSON file, or a folder of them (default: %(default)s)",
    )
    parser.add_argument(
        "--output", choices=("text", "json"), default="text", help="what to print (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check the configuration; return 0 if it can be used and 2 if not."""
    from proxy.settings.load import load
    from proxy.settings.problem import SettingsError
    from proxy.vetting import key_problems, problems, warnings

    try:
        settings = load(arguments.config)
        found: Sequence[Problem] = problems(settings) or key_problems(settings)
    except SettingsError as error:
        found = error.problems
    if found:
        _print_problems(found, arguments.output)
        return 2
    _print_summary(settings, warnings(settings), arguments.config, arguments.output)
    return 0


def _print_problems(found: Sequence["Problem"], output: str) -> None:
    if output == "json":
        listed = [{"place": item.place, "key": item.key, "message": item.message} for item in found]
        print(json.dumps({"ok": False, "problems": listed}, indent=2, ensure_ascii=False))
        return
    for problem in found:
        print(problem, file=sys.stderr)
    print(_counted(len(found), "problem"), file=sys.stderr)


def _print_summary(settings: "Settings", doubts: Sequence["Problem"], config: Path, output: str) -> None:
    counts = {section: len(getattr(settings, section)) for section in _COUNTED}
    if output == "json":
        listed = [{"place": item.place, "key": item.key, "message": item.message} for item in doubts]
        print(json.dumps({"ok": True, **counts, "warnings": listed}, indent=2, ensure_ascii=False))
        return
    for doubt in doubts:
        print(f"warning: {doubt}", file=sys.stderr)
    print(f"{config}: ok, {', '.join(_counted(counts[name], word) for name, word in _COUNTED.items())}")


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
