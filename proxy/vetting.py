"""What only shows when settings are put together: mistakes, doubts, and the issuers as they will be used."""

import ssl
import time
from collections.abc import Iterator

from proxy.authorize.lint import lint
from proxy.errors import ConfigurationError
from proxy.forward.faults import faults
from proxy.identify.issuers import Issuer, KeyTimes
from proxy.identify.keys import read_pinned
from proxy.identify.profiles import PROFILES
from proxy.listening import tls_problems, tls_warnings
from proxy.settings import schema
from proxy.settings.convert import roles_of, routes_of, upstreams_of
from proxy.settings.doubts import doubts
from proxy.settings.problem import Problem
from proxy.settings.schema import Settings


def problems(settings: Settings) -> list[Problem]:
    """Return what only shows when the parts are put together, with the place in the configuration."""
    errors = _findings(settings, "error") + tls_problems(settings)
    for alias, issuer in settings.issuers.items():
        try:
            issuer_of(alias, issuer)
        except ConfigurationError as error:
            errors.append(Problem(settings.place("issuers", alias), f"issuers.{alias}", str(error)))
    for upstream in upstreams_of(settings):
        where = ("upstreams", upstream.name)
        errors += (Problem(settings.place(*where), settings.key(*where), fault) for fault in faults(upstream))
    return errors


def key_problems(settings: Settings) -> list[Problem]:
    """Return what is wrong with the files of issuers, which `serve` reads when it builds their keys."""
    errors: list[Problem] = []
    for alias, issuer in settings.issuers.items():
        for name, fault in _file_faults(issuer_of(alias, issuer)):
            path = ("issuers", alias, name)
            errors.append(Problem(settings.place(*path), settings.key(*path), fault))
    return errors


def _file_faults(issuer: Issuer) -> Iterator[tuple[str, str]]:
    try:
        if issuer.jwks_file is not None:
            read_pinned(issuer, issuer.jwks_file)
    except ConfigurationError as error:
        yield "jwks_file", str(error)
    try:
        ssl.create_default_context(cafile=issuer.ca_file)
    except OSError as error:  # ssl.SSLError is one
        yield "ca_file", f"cannot use `{issuer.ca_file}`: {error.strerror or error}"


def warnings(settings: Settings) -> list[Problem]:
    """Return what loads and is probably not meant."""
    return _findings(settings, "warning") + doubts(settings) + tls_warnings(settings)


def _findings(settings: Settings, severity: str) -> list[Problem]:
    profiles = {alias: PROFILES[issuer.profile] for alias, issuer in settings.issuers.items()}
    pinning = {
        alias: profile.pinning_claims if profile.caller_picks_audience else None
        for alias, profile in profiles.items()
    }
    mutable = {alias: profile.mutable_claims for alias, profile in profiles.items()}
    found = lint(roles_of(settings), routes_of(settings), pinning, now=time.time(), mutable=mutable)
    return [
        Problem(settings.place(*finding.path), settings.key(*finding.path), finding.message)
        for finding in found
        if finding.severity == severity
    ]


def issuers_of(settings: Settings) -> list[Issuer]:
    """Return the issuers as `identify` knows them."""
    return [issuer_of(alias, issuer) for alias, issuer in settings.issuers.items()]


def issuer_of(alias: str, issuer: schema.Issuer) -> Issuer:
    """Return one issuer as `identify` knows it, or raise ConfigurationError."""
    return Issuer(
        alias=alias,
        url=issuer.url,
        audiences=frozenset(issuer.audiences),
        profile=PROFILES[issuer.profile],
        algorithms=frozenset(issuer.algorithms),
        leeway_s=issuer.leeway,
        max_lifetime_s=issuer.max_lifetime,
        max_token_bytes=issuer.max_token_bytes,
        types=None if issuer.typ is None else frozenset(issuer.typ),
        groups_claims=issuer.groups_claims,
        jwks_url=issuer.jwks_url,
        jwks_file=issuer.jwks_file,
        ca_file=issuer.ca_file,
        required=issuer.required,
        keys=KeyTimes(
            fresh_for_s=issuer.keys.fresh_for,
            stale_for_s=issuer.keys.stale_for,
            cooldown_s=issuer.keys.cooldown,
            timeout_s=issuer.keys.timeout,
        ),
    )
