"""Roles, bindings, rules and policies as the configuration states them, parsed and typed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Scalar = str | int | float | bool
"""What a claim can be compared with; `"true"` and `true` are different values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """The claim is a scalar equal, in type and value, to one of `values` (never empty)."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contains:
    """The claim is a list that holds one of `values`; a string is not a list."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """The claim is a string equal to `prefix` or continuing it after `separator`."""

    prefix: str
    separator: str


Matcher = OneOf | Contains | Prefix
"""How one claim is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """
    One way to come by a role.

    All of `claims` must match and, where `groups` is not empty, one of them must be held.
    A claim is named by its exact top-level name, or by a JSON Pointer (RFC 6901) that starts
    with `/`. `expires_at` is in epoch seconds; from that moment on the binding gives nothing.
    """

    issuer: str
    claims: Mapping[str, Matcher] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A name for what somebody may do, and the bindings that give it."""

    name: str
    bindings: tuple[Binding, ...]
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    One line of a policy: holds when everything it states holds.

    An empty set states nothing. A rule that states nothing does not compile.
    `paths` are patterns as in a route.
    """

    roles: frozenset[str] = frozenset()
    issuers: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()
    claims: Mapping[str, Matcher] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of one route: deny before allow, and no where nothing matched."""

    route: str
    allow: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()
    public: bool = False
