"""`rolegate`: reads the command line and hands over to the command."""

import argparse
import sys
from collections.abc import Sequence

from proxy.build import describe
from proxy.cli import check, demo, explain, schema, serve, token

DESCRIPTION = (
    "An identity-aware reverse proxy: tokens become roles, routes have policies, decisions are on record."
)
EPILOG = """\
exit codes: 0 done, 1 the answer is no, 2 bad input or configuration

begin with:
  rolegate demo
  rolegate check --config config/rolegate.yaml
  rolegate serve --config config/rolegate.yaml
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="rolegate",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=describe())
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (serve, demo, check, explain, token, schema):
        command.add_parser(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parsed = parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except BrokenPipeError:
        return 0  # the reader of our output, `head` say, has seen enough
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
