"""
What a refused client gets to read (RFC 9457 problem details, RFC 6750 section 3 challenges).

Law: a refusal says what happened and what the caller can do, in fixed words. No claim, no token
and nothing of the request is echoed. One table: a `Reason` is refused as its line says.

Refusals are put together ahead of time for `no-token` and `forged` of `tests/bench/inner.py`.
"""

import json
from functools import lru_cache
from typing import NamedTuple

from proxy.model.decision import Reason


class Refusal(NamedTuple):
    """
    How one reason is refused.

    `title` says what happened, `advice` what the caller can do. `challenge` is the error code of the
    `WWW-Authenticate` to send, empty for one without, None for none. `retry_after_s` is None where
    asking again will not help. `ends_connection` says that the next request cannot be told from
    the rest of this one, or that there shall be none.
    """

    status: int
    title: str
    advice: str
    challenge: str | None = None
    retry_after_s: int | None = None
    ends_connection: bool = False


class Answer:
    """A whole response: its status, its bytes, and whether the connection may stay open after it."""

    __slots__ = ("data", "keep_alive", "status")

    def __init__(self, status: int, data: bytes, keep_alive: bool) -> None:
        self.status = status
        self.data = data
        self.keep_alive = keep_alive


_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}

# RFC 6750 section 3.1: no error code where nothing, or nothing of this scheme, was presented.
_PRESENT_ONE = ""
_BAD_REQUEST = "invalid_request"
_BAD_TOKEN = "invalid_token"  # noqa: S105 - an error code, not a password

_FRESH_TOKEN = "get a fresh token from the issuer and send the request again"  # noqa: S105 - advice, not a password
_ASK_OPERATOR = "quote the request id to the operator of this proxy to learn more"
_ONE_READING = "send the request in a form that can be read in one way only"
_TRY_AGAIN = "try again in a moment"


def _token(title: str, advice: str) -> Refusal:
    return Refusal(401, title, advice, _BAD_TOKEN)


REFUSALS: dict[Reason, Refusal] = {
    Reason.NO_ROUTE: Refusal(404, "no route leads there", "check host, path and method"),
    Reason.NO_RULE_MATCHED: Refusal(
        403, "no rule allows this request", f"ask for a role that may; {_ASK_OPERATOR}"
    ),
    Reason.DENIED_BY_RULE: Refusal(403, "a rule denies this request", _ASK_OPERATOR),
    Reason.CLAIM_MISSING: Refusal(
        403,
        "the token lacks a claim that a rule needs",
        f"check which claims the issuer includes; {_ASK_OPERATOR}",
    ),
    # When to come back depends on the caller; whoever refuses says it in lines of its own.
    Reason.RATE_LIMITED: Refusal(
        429, "too many requests", "wait as long as `Retry-After` says, then send the request again"
    ),
    Reason.OVERLOADED: Refusal(503, "as many requests are under way as may be", _TRY_AGAIN, retry_after_s=1),
    Reason.CREDENTIAL_MISSING: Refusal(
        401, "a credential is needed", "send `Authorization: Bearer` with a token", _PRESENT_ONE
    ),
    Reason.CREDENTIAL_MALFORMED: Refusal(
        400,
        "the credential cannot be read",
        "send `Authorization: Bearer` with exactly one token",
        _BAD_REQUEST,
    ),
    Reason.SEVERAL_CREDENTIALS: Refusal(
        400, "the request carries several credentials", "send exactly one Authorization header", _BAD_REQUEST
    ),
    Reason.SCHEME_UNSUPPORTED: Refusal(
        401,
        "this authentication scheme is not accepted",
        "send `Authorization: Bearer` with a token",
        _PRESENT_ONE,
    ),
    Reason.TOKEN_TOO_LARGE: _token(
        "the token is too large", "ask the issuer for a token with fewer claims or groups"
    ),
    Reason.TOKEN_MALFORMED: _token(
        "the token is not a signed JWT", "send the token exactly as the issuer gave it"
    ),
    Reason.TOKEN_ENCRYPTED: _token(
        "the token is encrypted", "ask the issuer for a token that is signed only"
    ),
    Reason.ALGORITHM_REFUSED: _token(
        "the token is signed with an algorithm that is not accepted",
        "have the issuer sign with an accepted one",
    ),
    Reason.TYPE_REFUSED: _token(
        "the token is of a type that is not accepted", "send the kind of token that is meant for APIs"
    ),
    Reason.CRITICAL_HEADER: _token(
        "the token demands an extension that is not understood", "ask the issuer for a token without `crit`"
    ),
    Reason.ISSUER_UNKNOWN: _token(
        "the issuer of the token is not trusted here",
        "use a token from an issuer that is accepted for this request",
    ),
    Reason.KEY_UNKNOWN: _token("the token is signed with an unknown key", _FRESH_TOKEN),
    Reason.SIGNATURE_INVALID: _token(
        "the signature of the token is not valid", "send the token exactly as the issuer gave it"
    ),
    Reason.CLAIMS_MALFORMED: _token(
        "the claims of the token cannot be used",
        "check that the issuer fills in all claims in the right form",
    ),
    Reason.TOKEN_EXPIRED: _token("the token has expired", _FRESH_TOKEN),
    Reason.TOKEN_NOT_YET_VALID: _token(
        "the token is not valid yet", "check the clocks, or wait until it is valid"
    ),
    Reason.LIFETIME_EXCEEDED: _token(
        "the token is valid for longer than is accepted", "ask the issuer for a token with a shorter lifetime"
    ),
    Reason.AUDIENCE_MISMATCH: _token(
        "the token is meant for another audience",
        "ask the issuer for a token with the audience of this service",
    ),
    Reason.TOKEN_BOUND: _token(
        "the token is bound to a key that this request does not prove",
        "present the client certificate that the token names, or use a token that is not sender-constrained",
    ),
    Reason.PROFILE_REFUSED: _token(
        "the token does not fit what is known of its issuer",
        f"check which kind of token is sent; {_ASK_OPERATOR}",
    ),
    Reason.MALFORMED_REQUEST: Refusal(400, "the request is malformed", _ONE_READING, ends_connection=True),
    Reason.VERSION_UNSUPPORTED: Refusal(
        505, "this version of HTTP is not supported", "send HTTP/1.1", ends_connection=True
    ),
    Reason.METHOD_REFUSED: Refusal(
        501, "this method is not supported", "use another method", ends_connection=True
    ),
    Reason.AMBIGUOUS_FRAMING: Refusal(
        400,
        "where the request ends is ambiguous",
        "send either one Content-Length or chunks",
        ends_connection=True,
    ),
    Reason.AMBIGUOUS_HOST: Refusal(400, "the host is ambiguous", "send exactly one Host, in its plain form"),
    Reason.AMBIGUOUS_PATH: Refusal(400, "the path is ambiguous", "send the path resolved and encoded once"),
    Reason.TARGET_TOO_LONG: Refusal(
        414, "the request target is too long", "shorten it", ends_connection=True
    ),
    Reason.HEADERS_TOO_LARGE: Refusal(
        431, "the request headers are too large", "send fewer or shorter headers", ends_connection=True
    ),
    Reason.BODY_TOO_LARGE: Refusal(
        413, "the request body is too large for this route", "send less at once", ends_connection=True
    ),
    Reason.REQUEST_TIMEOUT: Refusal(
        408, "the request did not come in time", "send it again without a pause", ends_connection=True
    ),
    Reason.KEYS_UNAVAILABLE: Refusal(
        503, "the keys of the issuer cannot be had at the moment", _TRY_AGAIN, retry_after_s=5
    ),
    Reason.AUDIT_UNAVAILABLE: Refusal(
        503, "the decision cannot be put on record", _TRY_AGAIN, retry_after_s=5
    ),
    Reason.SHUTTING_DOWN: Refusal(
        503, "the proxy is shutting down", _TRY_AGAIN, retry_after_s=1, ends_connection=True
    ),
    Reason.INTERNAL_ERROR: Refusal(500, "the proxy failed", _ASK_OPERATOR, ends_connection=True),
    Reason.UPSTREAM_UNREACHABLE: Refusal(502, "the upstream cannot be reached", _TRY_AGAIN),
    Reason.UPSTREAM_OVERLOADED: Refusal(503, "the upstream is busy", _TRY_AGAIN, retry_after_s=1),
    Reason.UPSTREAM_TIMEOUT: Refusal(
        504,
        "the upstream did not answer in time",
        "it may have acted on the request; check before you repeat it",
    ),
    Reason.UPSTREAM_RESET: Refusal(
        502, "the upstream broke off", "it may have acted on the request; check before you repeat it"
    ),
    Reason.UPSTREAM_MALFORMED: Refusal(
        502,
        "the upstream did not answer with valid HTTP",
        "it may have acted on the request; check before you repeat it",
    ),
}

NOT_REFUSALS = frozenset(
    {Reason.ALLOWED, Reason.PUBLIC, Reason.COMPLETED, Reason.CLIENT_GONE, Reason.STREAM_IDLE}
)
"""Reasons that never end in a response of ours."""


def refusal(
    reason: Reason,
    request_id: str,
    detail: str = "",
    *,
    keep_alive: bool,
    method_is_head: bool,
    has_credential: bool = True,
    realm: str = "rolegate",
    lines: bytes = b"",
) -> Answer:
    """
    Return the response to a refused request.

    `detail` takes the place of the table's advice: a sentence of ours, never the client's text.
    `request_id` is ours too, plain ASCII. `lines` are whole header lines to add. Without a credential
    the challenge names no error. The answer's `keep_alive` is False too where the reason ends the
    connection.
    """
    # A flood of bad requests is answered from here: what does not change is put together once.
    # By position: a key of named arguments takes longer to put together than all the rest.
    make = _prebuilt if not detail else _template
    template = make(reason, detail, keep_alive, method_is_head, has_credential, realm, len(request_id))
    known = request_id.encode("ascii")
    end = b"" if method_is_head else b'%b"}\n' % known
    data = b"%b%b\r\n%b%b%b" % (template.start, known, lines, template.middle, end)
    return Answer(template.status, data, template.keep_alive)


class _Template(NamedTuple):
    """A response but for the request id: what stands before it in the head, and between head and body."""

    status: int
    keep_alive: bool
    start: bytes
    middle: bytes


def _template(
    reason: Reason,
    detail: str,
    keep_alive: bool,
    method_is_head: bool,
    has_credential: bool,
    realm: str,
    id_length: int,
) -> _Template:
    line = REFUSALS[reason]
    keep_alive = keep_alive and not line.ends_connection
    members = {
        "type": reason.value,
        "title": line.title,
        "status": line.status,
        "reason": reason.value,
        "detail": detail or line.advice,
        "request_id": "",
    }
    # The encoder escapes what is not ASCII and every control character, should a detail hold any.
    # The line end is for the shell prompt of whoever pastes a curl line.
    body = json.dumps(members, separators=(",", ":")).encode() + b"\n"
    start = b"%bContent-Length: %d\r\nX-Request-Id: " % (
        _head_start(reason, has_credential, realm),
        len(body) + id_length,
    )
    middle = b"%b\r\n%b" % (
        b"" if keep_alive else b"Connection: close\r\n",
        b"" if method_is_head else body.removesuffix(b'"}\n'),
    )
    return _Template(line.status, keep_alive, start, middle)


# For each reason: kept alive or not, HEAD or not, with a credential or without.
_prebuilt = lru_cache(maxsize=8 * len(REFUSALS))(_template)


@lru_cache(maxsize=256)
def _head_start(reason: Reason, has_credential: bool, realm: str) -> bytes:
    line = REFUSALS[reason]
    lines = [
        f"HTTP/1.1 {line.status} {_PHRASES[line.status]}",
        "Content-Type: application/problem+json",
        "Cache-Control: no-store",
    ]
    if line.challenge is not None:
        # What cannot be read as a credential was presented all the same.
        is_named = has_credential or line.challenge == _BAD_REQUEST
        error = line.challenge if is_named else ""
        lines.append(f"WWW-Authenticate: {_challenge(realm, error, line.title)}")
    if line.retry_after_s is not None:
        lines.append(f"Retry-After: {line.retry_after_s}")
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


def _challenge(realm: str, error: str, description: str) -> str:
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    if not error:
        return f'Bearer realm="{quoted}"'
    return f'Bearer realm="{quoted}", error="{error}", error_description="{description}"'
