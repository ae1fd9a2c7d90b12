"""How many requests somebody may send, as the configuration states it."""

from dataclasses import dataclass
from enum import StrEnum


class Per(StrEnum):
    """Who has a budget of their own."""

    IDENTITY = "identity"
    ROLE = "role"
    ROUTE = "route"
    CLIENT = "client"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """
    `count` requests in every `window_s` seconds, of which `burst` may come at once.

    Routes that name the same limit share its budgets, except per route. With `roles` it holds only
    for identities that have one of them; per role, those are the roles that have a budget.
    """

    name: str
    per: Per
    count: int
    window_s: float
    burst: int
    roles: frozenset[str] = frozenset()
