"""
What would become of one request, asked of the parts that would decide it; nothing is sent or opened.

Law: the way is the pipeline's. The head is read by `read_request`, the token judged by the `Resolver`, the
route found and the decision made by the gate, all of them built by `Proxy.prepare`. The explanation
beside it never decides.
"""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from proxy.assemble import Proxy
from proxy.authorize.compile import compile_policy
from proxy.authorize.explain import Explanation, explain
from proxy.authorize.roles import RoleMapper
from proxy.authorize.routing import RouteTable
from proxy.errors import RequestError
from proxy.gate import OWN_PREFIX, find_passage, judge
from proxy.live import Live, Passage
from proxy.model.decision import DENIALS, Decision, Reason
from proxy.model.identity import Identity
from proxy.model.peer import Peer
from proxy.model.request import Request
from proxy.settings.convert import roles_of, routes_of
from proxy.settings.schema import Settings
from proxy.vetting import issuer_of
from proxy.wire.reading import HeaderBlock, read_request

# Neither can change a decision.
_PEER = Peer(address="127.0.0.1")

_NO_CHECKS: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request to be: an absolute URL, and what stands behind `Bearer`, None for nobody."""

    method: str
    url: str
    unverified_token: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """
    The decision, and what led to it.

    `token` are the checks of the token in words, empty without one. `explanation` is None where the
    request ends before any route is asked. `detail` says what neither of them can.
    """

    request: str
    token: tuple[str, ...]
    explanation: Explanation | None
    decision: Decision
    detail: str


def silence() -> None:
    """Keep what the parts log off standard error: a command that asks once says it in its own words."""
    logging.getLogger("rolegate").addHandler(logging.NullHandler())


@asynccontextmanager
async def prepared(settings: Settings) -> AsyncIterator[tuple[Proxy, Live]]:
    """Build what would decide, without ports, and end it afterwards."""
    proxy = Proxy(settings)
    live = proxy.prepare()
    try:
        yield proxy, live
    finally:
        await proxy.release()


async def judge_token(proxy: Proxy, unverified_token: bytes) -> tuple[Identity | Decision, tuple[str, ...]]:
    """Return who sends the token, or the denial, with every check in words; fetches keys if it must."""
    resolver = proxy.resolver
    found = resolver.find(unverified_token, time.time())
    if found is None:
        found = await resolver.fetch(unverified_token, "", time.time)
    checks = resolver.explain_refusal(unverified_token, time.time())
    if isinstance(found, Decision) and found.reason is Reason.KEYS_UNAVAILABLE:
        checks += [f"no: {status.last_error}" for status in proxy.keys.status() if status.last_error]
    return found, tuple(checks)


async def rehearse(settings: Settings, question: Question) -> Rehearsal:
    """Return what would become of the request, now."""
    async with prepared(settings) as (proxy, live):
        try:
            request = _read(question, live)
        except RequestError as error:
            asked = f"{question.method} {question.url}"
            return _refused(asked, DENIALS[error.reason], detail=error.detail)
        asked = f"{request.method} {request.host}{request.path}"
        identity, checks = None, _NO_CHECKS
        if request.credential is not None:
            found, checks = await judge_token(proxy, request.credential.unverified_token)
            if isinstance(found, Decision):
                return _refused(asked, found, checks)
            identity = found
        now = time.time()
        passage = find_passage(live, request)
        decision = judge(passage, identity, request, now)
        explanation = _explain(settings, identity, request, now)
        detail = "" if decision == explanation.decision else _gate_says(decision, passage, identity, request)
        return Rehearsal(
            request=asked,
            token=checks,
            explanation=replace(explanation, decision=decision),
            decision=decision,
            detail=detail,
        )


def _refused(asked: str, decision: Decision, token: tuple[str, ...] = (), detail: str = "") -> Rehearsal:
    return Rehearsal(request=asked, token=token, explanation=None, decision=decision, detail=detail)


def _read(question: Question, live: Live) -> Request:
    """Return the request as the data port would read it."""
    # No library takes the target apart: each would repair what the proxy refuses.
    rest = question.url.partition("://")[2]
    cut = min((found for mark in "/?#" if (found := rest.find(mark)) >= 0), default=len(rest))
    authority, target = rest[:cut], rest[cut:]
    headers = [(b"Host", authority.encode())]
    if question.unverified_token is not None:
        headers.append((b"Authorization", b"Bearer " + question.unverified_token))
    path = (target if target.startswith("/") else f"/{target}").encode()
    block = HeaderBlock("1.1", headers, live.request_headers, _PEER, live.trusted_proxies)
    return read_request(question.method, path, block)


def _explain(settings: Settings, identity: Identity | None, request: Request, now: float) -> Explanation:
    mapper = RoleMapper(roles_of(settings))
    routes = routes_of(settings)
    must_name: frozenset[str] = frozenset()
    if identity is not None:
        issuer = issuer_of(identity.issuer, settings.issuers[identity.issuer])
        must_name = issuer.profile.must_name(identity.claims)
    return explain(
        table=RouteTable.build((route, compile_policy(route.policy, mapper)) for route in routes),
        policy_of=lambda policy: policy,
        mapper=mapper,
        identity=identity,
        request=request,
        now=now,
        must_name=must_name,
    )


def _gate_says(
    decision: Decision, passage: Passage | None, identity: Identity | None, request: Request
) -> str:
    """Return why the gate decided before the policy of the route was asked."""
    if request.path.startswith(OWN_PREFIX):
        return f"paths below `{OWN_PREFIX}` belong to rolegate and lead to no upstream"
    if decision.reason is Reason.AMBIGUOUS_PATH:
        return "the path holds an encoded slash, which a route has to opt in to (`encoded_slashes`)"
    if decision.reason is Reason.CREDENTIAL_MISSING:
        return "without a credential nobody learns which routes exist"
    if decision.reason is Reason.TOKEN_BOUND:
        return "the token is good on a connection with the client certificate that its `cnf` names"
    if decision.reason is Reason.AUDIENCE_MISMATCH and passage is not None and identity is not None:
        wanted = ", ".join(f"`{name}`" for name in sorted(passage.audiences[identity.issuer]))
        return f"this route takes tokens for {wanted or 'no audience of this issuer'}"
    return ""


def is_absolute(url: str) -> bool:
    """Whether `url` names a host, as every question must."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
