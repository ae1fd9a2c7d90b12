"""
The members of an audit record, as JSON text.

Law: no token, cookie, header or query string gets here; a path in a record is the canonical one,
and text that came unread from a client is escaped by the JSON encoder.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from proxy.model.decision import Decision
from proxy.model.flow import Flow
from proxy.model.identity import IdentityKind

VERSION: Final = 1
ANONYMOUS: Final = '"issuer":null,"subject":null,"kind_of_identity":null,"claims":{},"roles":[]'

# A refused target can be as long as the limit allows; the record needs enough to recognise it.
MAX_CLAIMED_CHARS: Final = 256


def json_text(value: object) -> str:
    """Return `value` as compact JSON; a lone surrogate, which is no character, becomes the text `\\ud800`."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(_encodable(value)).decode()


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_encodable(key): _encodable(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(held) for held in value]
    return value


def identity_members(
    issuer: str, subject: str, kind: IdentityKind, claims: Mapping[str, object], roles: Iterable[str]
) -> str:
    """Return the members that say who asked; `claims` is already the profile's allow list."""
    members = {
        "issuer": issuer,
        "subject": subject,
        "kind_of_identity": kind.value,
        "claims": dict(claims),
        "roles": sorted(roles),
    }
    return json_text(members)[1:-1]


def decision_members(decision: Decision, policy_version: str) -> str:
    """Return the members that say what was decided, by which rule of which policy."""
    members = {
        "decision": "allow" if decision.allowed else "deny",
        "reason": decision.reason.value,
        "rule": decision.rule,
        "policy_version": policy_version,
    }
    return json_text(members)[1:-1]


def request_members(flow: Flow) -> str:
    """Return the members that say what was asked, and with which client certificate."""
    request = flow.request
    if request is None:
        claimed = {
            "client": flow.client_address,
            "method": flow.claimed_method[:MAX_CLAIMED_CHARS],
            "host": flow.claimed_host[:MAX_CLAIMED_CHARS],
            "path": claimed_path(flow.claimed_target),
        }
        return f"{json_text(claimed)[1:-1]}{_certificate_member(flow)}"
    # Client, method, host and path are canonical here: their alphabets hold nothing that JSON escapes.
    members = (
        f'"client":"{flow.client_address}","method":"{request.method}",'
        f'"host":"{request.host}","path":"{request.path}"'
    )
    return members if flow.certificate is None else members + _certificate_member(flow)


def _certificate_member(flow: Flow) -> str:
    # A thumbprint is base64url, which JSON writes as it is.
    return "" if flow.certificate is None else f',"client_certificate":"{flow.certificate}"'


def claimed_path(target: bytes) -> str:
    """
    Return an unread target as text, without the places where people put secrets.

    Those are the query, path parameters, a fragment, and the name and password before the `@` of an
    authority.
    """
    path = _SECRETS_BEHIND.split(_WITH_USERINFO.sub(rb"\1", target), maxsplit=1)[0]
    return path[:MAX_CLAIMED_CHARS].decode("utf-8", "backslashreplace")


_WITH_USERINFO: Final = re.compile(rb"\A((?:[A-Za-z][A-Za-z0-9+.\-]*+:)?//|)[^/?#]*@")
_SECRETS_BEHIND: Final = re.compile(rb"[?;#]")


@lru_cache(maxsize=1024)
def _address_text(address: str) -> str:
    """Return the address of an endpoint as JSON; there are few, and each outcome has one."""
    return json_text(address)


# A number with three decimals, without the machinery of format specifications: each outcome has one.
_DECIMALS: Final = [f".{thousandth:03d}" for thousandth in range(1000)]


def outcome_members(flow: Flow, duration_s: float) -> str:
    """Return the members that say how a forwarded request ended; one attempt goes without saying."""
    failed = flow.failed_addresses
    reason: str = flow.reason
    duration_us = int(duration_s * 1_000_000 + 0.5)
    attempts = f'"attempts":{len(failed) + 1},"failed_upstreams":{json_text(failed)},' if failed else ""
    return (
        f'{attempts}"upstream":{_address_text(flow.upstream_address)},"status":{flow.status},"reason":"{reason}",'
        f'"bytes_in":{flow.bytes_in},"bytes_out":{flow.bytes_out},'
        f'"duration_ms":{duration_us // 1000}{_DECIMALS[duration_us % 1000]}'
    )
