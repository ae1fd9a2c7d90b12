"""
The one question that every entrance asks: who is it, and may they?

Law: a presented credential is judged before the route is spoken of, so that nobody without a good
one learns which routes exist; a bad one ends the request on public routes too. A token that is bound
to a certificate is good only on a connection that proved it.
"""

import logging
from time import time
from typing import Final

from proxy.live import Live, Passage
from proxy.model.decision import DENIALS, Decision, Reason
from proxy.model.identity import Identity
from proxy.model.network import client_network
from proxy.model.request import Request

log = logging.getLogger("rolegate.gate")

# Our own documents live here; no route may reach an upstream through it.
OWN_PREFIX: Final = "/.rolegate/"


def find_passage(live: Live, request: Request) -> Passage | None:
    """Return the passage that the request's target leads to."""
    if request.path.startswith(OWN_PREFIX):
        return None
    return live.routes.find(request.host, request.path, request.method)


def judge(passage: Passage | None, identity: Identity | None, request: Request, now: float) -> Decision:
    """Return the decision on a request whose credential, if any, turned out good."""
    if request.has_encoded_slash and (passage is None or not passage.route.encoded_slashes):
        return DENIALS[Reason.AMBIGUOUS_PATH]
    if identity is None:
        return DENIALS[Reason.CREDENTIAL_MISSING] if passage is None else passage.decide(None, request, now)
    # Here and not in the token cache, which connections share: a stolen token would be found there.
    if identity.certificate is not None and identity.certificate != request.certificate:
        return DENIALS[Reason.TOKEN_BOUND]
    if passage is None:
        return DENIALS[Reason.NO_ROUTE]
    accepted = passage.audiences.get(identity.issuer)
    if accepted is None:
        return DENIALS[Reason.ISSUER_UNKNOWN]
    # Here and not in the token cache: the same token may be meant for one route and not for another.
    if identity.audiences.isdisjoint(accepted):
        return DENIALS[Reason.AUDIENCE_MISMATCH]
    return passage.decide(identity, request, now)


async def judge_slowly(
    live: Live, passage: Passage | None, request: Request, unverified_token: bytes
) -> tuple[Identity | None, Decision]:
    """Return who asks and the decision, after waiting for a turn and for the issuer's keys if need be."""
    try:
        found = await live.identities.fetch(unverified_token, client_network(request.client), time)
        if isinstance(found, Decision):
            return None, found
        return found, judge(passage, found, request, time())
    except Exception:
        # The boundary of the request: what we cannot answer is a no, and the log says why.
        log.exception("a request could not be judged")
        return None, DENIALS[Reason.INTERNAL_ERROR]
