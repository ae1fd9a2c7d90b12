"""
An issuer as configured: whose tokens we believe, and within which limits.

Law: an issuer without an audience, with a symmetric algorithm or with keys fetched over plain
HTTP (loopback apart) cannot be built.
"""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from proxy.errors import ConfigurationError
from proxy.identify.profiles.interfaces import Profile

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Every algorithm that can be configured: asymmetric ones only."""

DEFAULT_ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})

# Tokens that say something else than "the bearer may ask": signed by the same key, for the same
# audience, so that `typ` is all that tells them from an access token (RFC 8725, 3.11).
NEVER_A_CREDENTIAL = frozenset(
    {
        "logout+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "oauth-id-jag+jwt",
        "global-token-revocation+jwt",
        "token-introspection+jwt",
        "oauth-authz-req+jwt",
        "client-authentication+jwt",
        "kb+jwt",
        "sd-jwt",
    }
)

# Not what the standard library drops from a URL without a word, nor what would end a request line early.
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTimes:
    """
    How long keys are believed and how often they are asked for, in seconds.

    After `fresh_for_s` they are fetched again, after `stale_for_s` without success nothing is
    verified any more. `cooldown_s` is the least time between two fetches because of an unknown
    key, `timeout_s` the longest that one fetch (discovery and keys) may take.
    """

    fresh_for_s: float = 600.0
    stale_for_s: float = 86_400.0
    cooldown_s: float = 30.0
    timeout_s: float = 5.0

    def __post_init__(self) -> None:
        if min(self.fresh_for_s, self.stale_for_s, self.cooldown_s, self.timeout_s) <= 0:
            raise ConfigurationError("the times of a key set must be longer than zero")
        if self.stale_for_s < self.fresh_for_s:
            raise ConfigurationError(
                f"`stale_for` ({self.stale_for_s:g} s) must not be shorter than "
                f"`fresh_for` ({self.fresh_for_s:g} s)"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """
    One identity provider.

    `url` is compared with `iss` exactly, byte for byte. `types` are the `typ` headers welcome
    here, lower case, without `application/`, an empty string for a header without `typ`; None
    means those of the profile, and the same holds for `groups_claims`. Keys come from discovery
    unless `jwks_url` or `jwks_file` is given.
    """

    alias: str
    url: str
    audiences: frozenset[str]
    profile: Profile
    algorithms: frozenset[str] = DEFAULT_ALGORITHMS
    leeway_s: float = 30.0
    max_lifetime_s: float = 86_400.0
    max_token_bytes: int = 16_384
    types: frozenset[str] | None = None
    groups_claims: tuple[str, ...] | None = None
    jwks_url: str | None = None
    jwks_file: Path | None = None
    ca_file: Path | None = None
    required: bool = True
    keys: KeyTimes = field(default_factory=KeyTimes)

    def __post_init__(self) -> None:
        if not self.audiences:
            raise ConfigurationError(f"issuer `{self.alias}` has no audience: name at least one")
        self._check_algorithms()
        self._check_types()
        if self.jwks_url is not None and self.jwks_file is not None:
            raise ConfigurationError(
                f"issuer `{self.alias}` has `jwks_url` and `jwks_file`: keep one of them"
            )
        for url in (self.url, self.jwks_url):
            if url is not None and not is_safe_url(url):
                raise ConfigurationError(
                    f"`{url}` of issuer `{self.alias}` must be an https URL (http on loopback only)"
                )
        if self.leeway_s < 0 or self.max_lifetime_s <= 0 or self.max_token_bytes <= 0:
            raise ConfigurationError(f"the limits of issuer `{self.alias}` must be longer than zero")

    def _check_algorithms(self) -> None:
        unusable = sorted(self.algorithms - ALGORITHMS)
        if unusable or not self.algorithms:
            raise ConfigurationError(
                f"issuer `{self.alias}` cannot use {quoted(unusable) or 'no algorithm at all'}; "
                f"possible: {quoted(sorted(ALGORITHMS))}"
            )

    def _check_types(self) -> None:
        for name in sorted(self.accepted_types):
            if is_never_a_credential(name):
                raise ConfigurationError(f"issuer `{self.alias}` cannot accept `{name}` as a credential")

    @property
    def accepted_types(self) -> frozenset[str]:
        """The `typ` headers that are welcome, as `media_type` writes them."""
        if self.types is None:
            return self.profile.types
        return frozenset(media_type(name) for name in self.types)

    @property
    def names_of_groups(self) -> tuple[str, ...]:
        """The claims in which this issuer's groups are."""
        return self.profile.groups_claims if self.groups_claims is None else self.groups_claims


def media_type(typ: str) -> str:
    """Return a `typ` in the one spelling we compare: lower case, no `application/` (RFC 7515, 4.1.9)."""
    return typ.lower().removeprefix("application/")


def is_never_a_credential(name: str) -> bool:
    """Whether tokens of this media type are something else than a bearer credential."""
    return name in NEVER_A_CREDENTIAL or name.endswith("+sd-jwt")


def is_safe_url(url: str) -> bool:
    """Whether documents from `url` can be believed: https, or http that does not leave this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment or not _PRINTABLE.fullmatch(url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether `host` is `localhost` or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def quoted(names: list[str]) -> str:
    """Return names for a message, each in backticks."""
    return ", ".join(f"`{name}`" for name in names)
