"""`rolegate explain`: what would become of a request, and why."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.rehearsal import Rehearsal
    from proxy.settings.schema import Settings

EXAMPLE = """\
examples:
  rolegate explain --token-file token.txt GET https://deploy.example.com/deployments/7
  rolegate explain --claims claims.json --issuer gitlab POST https://deploy.example.com/deployments/7
  echo "$TOKEN" | rolegate explain --token-file - GET https://deploy.example.com/deployments/7

Nothing is sent to the URL. Keys are fetched from the token's issuer if there is a token; with --claims
nothing is fetched, the claims are taken as if their issuer had just signed them.

Exit code 0 if the request would be allowed, 1 if denied, 2 for bad input.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    command = commands.add_parser(
        "explain",
        help="say what would become of a request, and why",
        description="Say which route, roles and rules a request meets, and what is decided.",
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
    who = command.add_mutually_exclusive_group()
    who.add_argument(
        "--token", metavar="TOKEN", help="the token of the request; other users may see it in `ps`"
    )
    who.add_argument("--token-file", metavar="FILE", help="a file with the token, `-` for standard input")
    who.add_argument(
        "--claims", type=Path, metavar="FILE", help="a JSON file with claims, in place of a token"
    )
    command.add_argument("--issuer", metavar="ALIAS", help="the configured issuer that --claims are of")
    command.add_argument(
        "--output", choices=("text", "json"), default="text", help="what to print (default: %(default)s)"
    )
    command.add_argument("method", metavar="METHOD", help="GET, POST, ...")
    command.add_argument("url", metavar="URL", help="the whole URL as the client would write it")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Explain; return 0 if the request would be allowed, 1 if denied, 2 for bad input."""
    from proxy.errors import RolegateError
    from proxy.rehearsal import silence
    from proxy.settings.load import load

    silence()
    try:
        rehearsal = _rehearse(load(arguments.config), arguments)
    except RolegateError as error:
        print(error, file=sys.stderr)
        return 2
    print(_as_json(rehearsal) if arguments.output == "json" else _as_text(rehearsal))
    return 0 if rehearsal.decision.allowed else 1


def _rehearse(settings: "Settings", arguments: argparse.Namespace) -> "Rehearsal":
    import asyncio
    import time

    from proxy.demo.pretend import pretending
    from proxy.errors import ConfigurationError
    from proxy.rehearsal import Question, rehearse

    _check(arguments)
    question = Question(method=arguments.method, url=arguments.url, unverified_token=_token(arguments))
    if arguments.claims is None:
        return asyncio.run(rehearse(settings, question))
    try:
        claims = json.loads(arguments.claims.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read claims from `{arguments.claims}`: {error}") from error
    if not isinstance(claims, dict):
        raise ConfigurationError(f"`{arguments.claims}` must hold a JSON object of claims")
    with pretending(settings, arguments.issuer, claims, time.time()) as (trusting, token):
        asked = Question(method=arguments.method, url=arguments.url, unverified_token=token)
        return asyncio.run(rehearse(trusting, asked))


def _check(arguments: argparse.Namespace) -> None:
    from proxy.errors import ConfigurationError
    from proxy.rehearsal import is_absolute

    if not is_absolute(arguments.url):
        raise ConfigurationError(
            f"expected a whole URL such as `https://deploy.example.com/path`, got `{arguments.url}`"
        )
    if not (arguments.method.isascii() and arguments.method.isupper() and arguments.method.isalpha()):
        raise ConfigurationError(f"expected a method in capitals such as `GET`, got `{arguments.method}`")
    if (arguments.claims is None) != (arguments.issuer is None):
        raise ConfigurationError(
            "`--claims` and `--issuer` go together: claims mean something only of an issuer"
        )


def _token(arguments: argparse.Namespace) -> bytes | None:
    from proxy.errors import ConfigurationError
    from proxy.inspection import bare

    if arguments.token is not None:
        return bare(arguments.token)
    if arguments.token_file is None:
        return None
    if arguments.token_file == "-":  # noqa: S105 - standard input, not a password
        return bare(sys.stdin.read())
    try:
        return bare(Path(arguments.token_file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read a token from `{arguments.token_file}`: {error}") from error


def _as_text(rehearsal: "Rehearsal") -> str:
    from proxy.authorize.render import render
    from proxy.settings.problem import printable

    if rehearsal.explanation is not None:
        lines = render(rehearsal.explanation).splitlines()
    else:
        reason = rehearsal.decision.reason.value
        lines = [f"request   {printable(rehearsal.request)}", f"decision  denied ({reason})"]
        if rehearsal.token:
            checks = (line.partition(": ") for line in rehearsal.token)
            told = [f"  {verdict}  {printable(text, 400)}" for verdict, _, text in checks]
            lines[1:1] = ["token     refused", *told]
    if rehearsal.detail:
        lines.insert(-1, f"because   {rehearsal.detail}")
    return "\n".join(lines)


def _as_json(rehearsal: "Rehearsal") -> str:
    return json.dumps(asdict(rehearsal), indent=2)
