"""`rolegate serve`: the proxy itself."""

import argparse
import sys
from pathlib import Path

EXAMPLE = """\
example:
  rolegate serve --config config/rolegate.yaml

SIGTERM and Ctrl-C stop it: no new connections, what is in flight is finished, exit code 0.
SIGHUP reloads: a good configuration comes into force without losing a request, a bad one changes nothing.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    command = commands.add_parser(
        "serve",
        help="run the proxy",
        description="Run the proxy until it is told to stop.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--config",
        type=Path,
        default=Path("config/rolegate.yaml"),
        metavar="PATH",
        help="a YAML or JSON file, or a folder of them (default: %(default)s)",
    )
    command.add_argument(
        "--log", choices=("text", "json"), default="text", help="how diagnostics are written to stderr"
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve, and return 0 after a clean stop or 2 if the configuration cannot be used."""
    from proxy import open_files
    from proxy.assemble import Proxy
    from proxy.diagnostics import start_logging
    from proxy.errors import ConfigurationError
    from proxy.serving import run_until_stopped
    from proxy.settings.load import load
    from proxy.settings.unsafe import unsafe_options, warn_of
    from proxy.workers.share import share_of, worker_count

    try:
        settings = load(arguments.config)
        proxy = Proxy(settings)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    start_logging(arguments.log)
    warn_of(unsafe_options(settings))
    count = worker_count(settings)
    one = (
        settings
        if count == 1
        else share_of(settings, 0, count, ports=[0] * len(settings.listen.every_socket), node="")
    )
    open_files.warn_if_short(one, open_files.raise_limit())
    if count > 1:
        from proxy.workers.serving import supervise_until_stopped

        return supervise_until_stopped(settings, count, arguments.config, arguments.log)
    return run_until_stopped(proxy, arguments.config)
