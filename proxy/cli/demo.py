"""`rolegate demo`: the proxy with an issuer and an upstream of its own, to try it out."""

import argparse
import sys

EXAMPLE = """\
examples:
  rolegate demo
  rolegate demo --port 8081 --admin-port 9091

Everything runs in one process, on loopback only, and nothing is left behind. Ctrl-C ends it, exit
code 0. Exit code 2 if a port is taken.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    command = commands.add_parser(
        "demo",
        help="try the proxy with an issuer and an upstream of its own",
        description="Run the proxy between a development issuer and a sample upstream, and show decisions.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option, default, what in (
        ("--port", 8080, "the proxy"),
        ("--admin-port", 9090, "metrics and health"),
    ):
        command.add_argument(
            option,
            type=port_number,
            default=default,
            metavar="NUMBER",
            help=f"port of {what}, 0 for any free one (default: %(default)s)",
        )
    command.set_defaults(run=run)


def port_number(text: str) -> int:
    """Return `text` as a port."""
    if not text.isascii() or not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 65535, got `{text}`")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Demonstrate, and return 0 after a clean stop or 2 if a port is taken."""
    import logging

    import uvloop

    from proxy.demo.demonstration import demonstrate
    from proxy.demo.terminal import palette_for
    from proxy.diagnostics import start_logging
    from proxy.errors import ConfigurationError

    stop_logging = start_logging("text", logging.WARNING)
    try:
        uvloop.run(demonstrate(arguments.port, arguments.admin_port, sys.stdout, palette_for(sys.stdout)))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        stop_logging()
    return 0
