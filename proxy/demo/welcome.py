"""What the demonstration prints at its start: where things are, and lines to paste into another shell."""

import sys
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from shutil import which
from urllib.request import getproxies_environment, proxy_bypass

from proxy.demo.loopback import LOOPBACK
from proxy.demo.terminal import Palette


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the parts of a running demonstration are."""

    port: int
    admin_port: int
    issuer_port: int
    upstream_port: int
    config: Path
    audit: Path

    @property
    def api(self) -> str:
        """The data port, as curl takes it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def tokens(self) -> str:
        """Where tokens are handed out."""
        return f"{LOOPBACK}:{self.issuer_port}/token"

    def bearer(self, persona: str) -> str:
        """Return the options of a curl that fetches a token for `persona` first."""
        return f'-H "Authorization: Bearer {self.fetched(persona)}"'

    def fetched(self, persona: str) -> str:
        """Return what a shell turns into a fresh token."""
        return f"$(curl -s {self.tokens}/{persona})"


@dataclass(frozen=True, slots=True)
class Case:
    """One line to paste: the status to expect, why, and the command."""

    status: int
    why: str
    command: str


def cases(places: Places) -> tuple[Case, ...]:
    """Return the lines to paste, in order."""
    one = f"{places.api}/deployments/7"
    return (
        Case(200, "the deploy job may deploy", f"curl -i {places.bearer('deployer')} {one}"),
        Case(
            403,
            "the job of another project is known, but may not",
            f"curl -i {places.bearer('sandbox')} {one}",
        ),
        Case(403, "mira may look, but not change", f"curl -i -X POST {places.bearer('auditor')} {one}"),
        Case(401, "no token", f"curl -i {one}"),
        Case(
            401, "a token whose claims were changed after signing", f"curl -i {places.bearer('forged')} {one}"
        ),
        Case(
            400,
            "a path that two servers could read differently",
            f"curl -i --path-as-is {places.api}/deployments/../admin",
        ),
    )


def welcome(places: Places, palette: Palette) -> str:
    """Return everything that is printed before the first decision."""
    parts = (_title(places, palette), _lines_to_paste(places, palette), _look_closer(places, palette))
    return "\n\n".join(parts)


def proxy_hint() -> str:
    """Return what to type first if curl would send requests for loopback to a proxy, else nothing."""
    if {"http", "all"}.isdisjoint(getproxies_environment()) or proxy_bypass(LOOPBACK):
        return ""
    return f"export NO_PROXY={LOOPBACK} no_proxy={LOOPBACK}"


def own_command() -> str:
    """Return how a shell finds this command: by its name, or by its path where the name leads elsewhere."""
    here = Path(sys.argv[0]).resolve()
    found = which("rolegate")
    is_found = found is not None and Path(found).resolve() == here
    return "rolegate" if is_found or not here.is_file() else quote(str(here))


def _title(places: Places, palette: Palette) -> str:
    paint = palette.paint
    name, upstream = paint("rolegate", "bold"), f"{LOOPBACK}:{places.upstream_port}"
    lines = (
        paint("rolegate demo", "bold"),
        "",
        f"  you --> {name} {places.api} --> sample upstream {upstream}",
        "             |",
        f"             +-- trusts two issuers on {LOOPBACK}:{places.issuer_port}: gitlab and company",
    )
    return "\n".join(lines)


def _lines_to_paste(places: Places, palette: Palette) -> str:
    lines = ["Paste a line into another terminal. Each fetches a fresh token first."]
    hint = proxy_hint()
    if hint:
        lines += ["", "  Your shell sends curl through a proxy. First:", f"  {hint}"]
    for case in cases(places):
        colour = "green" if case.status < 400 else "yellow"
        status = palette.paint(str(case.status), "bold", colour)
        lines += ["", f"  {status}  {case.why}", f"  {palette.paint(case.command, 'cyan')}"]
    return "\n".join(lines)


def _look_closer(places: Places, palette: Palette) -> str:
    token = places.fetched("auditor")
    url = f"http://{places.api}/deployments/7"
    explain = f'{own_command()} explain --config {places.config} --token "{token}" POST {url}'
    entries = {
        "why": explain,
        "metrics": f"http://{LOOPBACK}:{places.admin_port}/metrics",
        "tokens": f"http://{LOOPBACK}:{places.issuer_port}/",
        "config": str(places.config),
        "audit": str(places.audit),
    }
    listed = (f"  {palette.paint(name.ljust(8), 'dim')} {value}" for name, value in entries.items())
    return "Look closer.\n\n" + "\n".join(listed)
