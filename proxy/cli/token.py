"""`rolegate token`: mint development tokens, publish their key, and look at any token."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.demo.keys import DevelopmentKey
    from proxy.inspection import Inspection

EXAMPLE = """\
examples:
  rolegate token mint --new-key dev.pem --issuer http://127.0.0.1:9999 --audience https://api.example.com
  rolegate token jwks --key dev.pem > dev-keys.json
  rolegate token inspect "$TOKEN"
"""

MINT_EXAMPLE = """\
examples:
  rolegate token mint --new-key dev.pem --issuer http://127.0.0.1:9999 --audience https://api.example.com
  rolegate token mint --key dev.pem --profile gitlab-ci --claim project_id=42 --claim runner_id:=15 \\
    --issuer https://gitlab.example.com --audience https://api.example.com

A proxy believes such tokens if the issuer's `jwks_file` is what `rolegate token jwks` prints. The token
goes to standard output and nowhere else. `--claim exp:=0` makes one that has expired.
"""

INSPECT_EXAMPLE = """\
examples:
  rolegate token inspect "$TOKEN"
  pbpaste | rolegate token inspect - --config config/rolegate.yaml

Without --config only what needs no key is said. The token is neither kept nor sent anywhere; with
--config its issuer, if it is a configured one, is asked for keys.

Exit code 0 if nothing speaks against it, 1 if it would be refused, 2 if it is no token.
"""

# RFC 2606 and RFC 6761: names that belong to nobody.
_NOBODYS = ("test", "example", "invalid", "localhost", "example.com", "example.net", "example.org")

PROFILES = ("generic", "gitlab-ci", "github-actions", "kubernetes", "keycloak")
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    command = commands.add_parser(
        "token",
        help="mint development tokens, look at any token",
        description="Mint development tokens, publish their key, and look at any token.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_mint(actions)
    _add_jwks(actions)
    _add_inspect(actions)


def _add_mint(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    mint = actions.add_parser(
        "mint",
        help="sign a token with a development key",
        description="Sign a token with a development key.",
        epilog=MINT_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    key = mint.add_mutually_exclusive_group(required=True)
    key.add_argument("--key", type=Path, metavar="FILE", help="a private key in PEM form")
    key.add_argument("--new-key", type=Path, metavar="FILE", help="make a key and keep it in a new file")
    mint.add_argument("--issuer", required=True, metavar="URL", help="the claim `iss`")
    mint.add_argument(
        "--audience", required=True, action="append", metavar="AUD", help="the claim `aud`; may be repeated"
    )
    mint.add_argument(
        "--profile", choices=PROFILES, default="generic", help="whose claims it has (default: %(default)s)"
    )
    mint.add_argument(
        "--claim",
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="another claim, or another value; NAME:=JSON for anything but text",
    )
    mint.add_argument(
        "--lifetime", default="1h", help="from now to `exp`: 30s, 10m, 1h (default: %(default)s)"
    )
    mint.add_argument(
        "--alg", choices=ALGORITHMS, help="how to sign (default: as suits the key, RS256 for a new one)"
    )
    mint.add_argument("--typ", default="JWT", help="the header `typ`, empty for none (default: %(default)s)")
    mint.add_argument(
        "--unsafe-foreign-issuer",
        action="store_true",
        help="speak for an issuer that is neither on this machine nor under a name reserved for examples",
    )
    mint.set_defaults(run=run, act=run_mint)


def _add_jwks(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    jwks = actions.add_parser(
        "jwks",
        help="print the public half of a development key",
        description="Print the key set that an issuer's `jwks_file` may hold.",
        epilog="example:\n  rolegate token jwks --key dev.pem > dev-keys.json\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    jwks.add_argument("--key", type=Path, required=True, metavar="FILE", help="a private key in PEM form")
    jwks.set_defaults(run=run, act=run_jwks)


def _add_inspect(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    inspect = actions.add_parser(
        "inspect",
        help="show what a token says and whether it would be refused",
        description="Show what a token says and whether it would be refused.",
        epilog=INSPECT_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inspect.add_argument(
        "token",
        nargs="?",
        default="-",
        metavar="TOKEN",
        help="the token, with or without `Bearer`; `-` for standard input",
    )
    inspect.add_argument("--config", type=Path, metavar="PATH", help="judge it by this configuration")
    inspect.add_argument(
        "--output", choices=("text", "json"), default="text", help="what to print (default: %(default)s)"
    )
    inspect.set_defaults(run=run, act=run_inspect)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked for; return 2 for bad input."""
    from proxy.errors import RolegateError

    try:
        return int(arguments.act(arguments))
    except RolegateError as error:
        print(error, file=sys.stderr)
        return 2


def run_mint(arguments: argparse.Namespace) -> int:
    """Print a token."""
    import time

    from proxy.demo.tokens import SHAPES, mint, registered
    from proxy.errors import ConfigurationError

    if not (arguments.unsafe_foreign_issuer or is_nobodys(arguments.issuer)):
        raise ConfigurationError(
            f"`{arguments.issuer}` may be somebody's issuer; expected one on loopback or under a name such "
            "as `example.com` or `x.test`, or `--unsafe-foreign-issuer`"
        )
    audience = arguments.audience[0] if len(arguments.audience) == 1 else arguments.audience
    times = registered(arguments.issuer, audience, time.time(), _lifetime_s(arguments.lifetime))
    claims = dict(map(_claim, arguments.claim))
    key = _key(arguments)
    print(
        mint(key, SHAPES[arguments.profile], times, claims, algorithm=arguments.alg or "", typ=arguments.typ)
    )
    return 0


def run_jwks(arguments: argparse.Namespace) -> int:
    """Print a key set."""
    from proxy.demo.keys import read_key

    print(json.dumps(read_key(arguments.key).jwks(), indent=2))
    return 0


def run_inspect(arguments: argparse.Namespace) -> int:
    """Print what a token says; return 1 if it would be refused."""
    import time
    from dataclasses import replace

    from proxy.inspection import bare, inspect

    from_stdin = arguments.token == "-"  # noqa: S105 - standard input, not a password
    token = bare(sys.stdin.read() if from_stdin else arguments.token)
    now = time.time()
    inspection = inspect(token, now)
    if arguments.config is not None:
        inspection = replace(inspection, checks=_judged(token, arguments.config))
    _print(inspection, arguments, now)
    return 1 if inspection.is_refused else 0


def _judged(token: bytes, config: Path) -> tuple[str, ...]:
    """Return the checks of the configuration, in words."""
    import asyncio

    from proxy.rehearsal import judge_token, prepared, silence
    from proxy.settings.load import load

    async def judge() -> tuple[str, ...]:
        async with prepared(load(config)) as (proxy, _):
            return (await judge_token(proxy, token))[1]

    silence()
    return asyncio.run(judge())


def _print(inspection: "Inspection", arguments: argparse.Namespace, now: float) -> None:
    from dataclasses import asdict

    from proxy.inspection import render

    if arguments.output == "json":
        print(json.dumps({"refused": inspection.is_refused, **asdict(inspection)}, indent=2))
        return
    for line in render(inspection, now):
        print(line)
    if inspection.is_refused:
        print("verdict    it would be refused")
    elif arguments.config is None:
        print("verdict    nothing speaks against it; with --config PATH its signature is checked too")
    else:
        print("verdict    it is good")


def _key(arguments: argparse.Namespace) -> "DevelopmentKey":
    from proxy.demo.keys import new_key, read_key
    from proxy.errors import ConfigurationError

    if arguments.key is None:
        made = new_key(arguments.alg or "RS256")
        made.write(arguments.new_key)
        print(
            f"key written to {arguments.new_key}; publish it: rolegate token jwks --key {arguments.new_key}",
            file=sys.stderr,
        )
        return made
    key = read_key(arguments.key)
    if arguments.alg and arguments.alg not in key.algorithms:
        able = ", ".join(f"`{name}`" for name in key.algorithms)
        raise ConfigurationError(f"the key in `{arguments.key}` signs with {able}, not `{arguments.alg}`")
    if arguments.key.stat().st_mode & 0o077:
        print(f"others can read {arguments.key}: chmod 600 {arguments.key}", file=sys.stderr)
    return key


def _claim(text: str) -> tuple[str, object]:
    from proxy.errors import ConfigurationError

    name, equals, value = text.partition("=")
    if not equals or not name.rstrip(":"):
        raise ConfigurationError(f"expected a claim as `NAME=TEXT` or `NAME:=JSON`, got `{text}`")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json.loads(value)
    except ValueError as error:
        raise ConfigurationError(f"expected JSON behind `{name}=`, got `{value}`") from error


def _lifetime_s(text: str) -> float:
    from proxy.errors import ConfigurationError
    from proxy.settings.quantities import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise ConfigurationError(f"expected a duration such as `30s`, `10m` or `1h`, got `{text}`") from error


def is_nobodys(issuer: str) -> bool:
    """Whether an issuer's URL can only be for development: on this machine, or under a reserved name."""
    from urllib.parse import urlsplit

    from proxy.settings.addresses import is_loopback

    try:
        host = urlsplit(issuer).hostname or ""
    except ValueError:
        return False
    return is_loopback(host) or any(host == name or host.endswith(f".{name}") for name in _NOBODYS)
