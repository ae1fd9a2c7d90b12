"""
Live: what is in force right now, as one value.

A request takes the snapshot once and keeps it; a reload builds another one and swaps the whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from proxy.interfaces import Admission, Counts, Forwarder, IdentitySource
from proxy.model.audit import ANONYMOUS, decision_members, json_text
from proxy.model.decision import Decision
from proxy.model.identity import Identity
from proxy.model.lease import Lease
from proxy.model.request import Request
from proxy.model.route import Route
from proxy.wire.headers import RequestHeaders
from proxy.wire.reading import Networks

Decide = Callable[[Identity | None, Request, float], Decision]


class Passage:
    """
    One route, ready to be used: its compiled policy, its upstream, its numbers.

    `audiences` gives for each issuer which audiences a token must name on this route. `admission` is
    None for a route without limits.
    """

    __slots__ = ("_audit", "admission", "audiences", "counts", "decide", "forwarder", "route", "route_member")

    def __init__(
        self,
        route: Route,
        decide: Decide,
        audiences: Mapping[str, frozenset[str]],
        forwarder: Forwarder,
        counts: Counts,
        admission: Admission | None = None,
    ) -> None:
        self.route = route
        self.decide = decide
        self.audiences = audiences
        self.forwarder = forwarder
        self.counts = counts
        self.admission = admission
        self.route_member = f'"route":{json_text(route.name)}'
        self._audit: dict[int, tuple[Decision, str]] = {}

    def decision_members(self, decision: Decision, policy_version: str) -> str:
        """Return the audit members of one of this route's prebuilt decisions, encoded once."""
        # Keyed by id, which the tuple keeps from being given to another decision.
        found = self._audit.get(id(decision))
        if found is None:
            found = self._audit[id(decision)] = (decision, decision_members(decision, policy_version))
        return found[1]

    def __repr__(self) -> str:
        return f"<Passage {self.route.name}>"


class Routes(Protocol):
    """Finds the passage of a request."""

    def find(self, host: str, path: str, method: str) -> Passage | None:
        """Return the most specific passage that matches, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """
    The snapshot: routes, identities, and the version by which the audit trail names them.

    `door` limits every request by its client, before anything else is asked; None for no limits. `lease`
    is held by nobody else.
    """

    routes: Routes
    identities: IdentitySource
    policy_version: str
    request_headers: RequestHeaders
    request_id_header: bytes
    unrouted_counts: Counts
    trusted_proxies: Networks = ()
    door: Admission | None = None
    lease: Lease = field(default_factory=Lease)

    def audit_members(self, passage: Passage | None, identity: Identity | None, decision: Decision) -> str:
        """Return the audit members that say which route, who, and what was decided."""
        who = ANONYMOUS if identity is None else identity.audit_fields
        if passage is None:
            return f'"route":null,{who},{decision_members(decision, self.policy_version)}'
        return f"{passage.route_member},{who},{passage.decision_members(decision, self.policy_version)}"


class Holder:
    """Where the snapshot in force is found; `swap` replaces it whole."""

    __slots__ = ("current",)

    def __init__(self, live: Live) -> None:
        self.current = live

    def swap(self, live: Live) -> None:
        """Put another snapshot in force for requests that begin from now on."""
        self.current = live
