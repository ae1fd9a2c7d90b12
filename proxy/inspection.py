"""
What a token says, and what can be said against it without any key.

Law: nothing here believes a token. Only the configuration's own checks (`Resolver.explain_refusal`) say
whether it is good. Its signature is counted, never shown: without it the rest proves nothing.
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from proxy.errors import RequestError
from proxy.identify.binding import certificate_of
from proxy.identify.header import read_header
from proxy.identify.interfaces import Refusal
from proxy.identify.registered import audiences_of, is_number
from proxy.identify.strict import decode_base64url, decode_object
from proxy.model.decision import Reason
from proxy.settings.problem import printable

Members = dict[str, object]

# NumericDate claims (RFC 7519, 4.1; OpenID Connect Core, 2).
TIMES = ("iat", "nbf", "exp", "auth_time")

_SHOWN_CHARS = 400
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Inspection:
    """A token taken apart. `checks` are lines that begin with `ok: ` or `no: `."""

    header: Members
    claims: Members
    signature_bytes: int
    checks: tuple[str, ...]

    @property
    def is_refused(self) -> bool:
        """Whether anything speaks against it."""
        return any(line.startswith("no: ") for line in self.checks)

    def __repr__(self) -> str:
        return f"<Inspection [{len(self.claims)} claims]>"


def bare(text: str) -> bytes:
    """Return the token in `text`, which may be a whole `Authorization: Bearer` header or a part of it."""
    words = text.strip().split()
    if words and words[0].lower() == "authorization:":
        words = words[1:]
    if len(words) == 2 and words[0].lower() == "bearer":
        words = words[1:]
    if len(words) != 1 or not words[0].isascii():
        raise RequestError(
            Reason.CREDENTIAL_MALFORMED, "expected one token, with or without `Bearer` before it"
        )
    return words[0].encode()


def inspect(unverified_token: bytes, now: float) -> Inspection:
    """Return the token's parts and the checks that need no key. Raises RequestError if it is none."""
    parts = unverified_token.split(b".")
    if len(parts) == 5:
        raise RequestError(Reason.TOKEN_ENCRYPTED, "the token has five parts: it is encrypted (JWE)")
    if len(parts) != 3:
        raise RequestError(Reason.TOKEN_MALFORMED, f"a token has three parts, this one {len(parts)}")
    header, header_fault = _members(parts[0], "header")
    claims, claims_fault = _members(parts[1], "payload")
    faults = [f"no: {fault}" for fault in (header_fault, claims_fault) if fault]
    refusal = read_header(parts[0])
    if isinstance(refusal, Refusal) and not header_fault:
        faults.append(f"no: {refusal.detail} ({refusal.reason})")
    checks = faults or ["ok: it is a signed token in compact form"]
    return Inspection(
        header=header,
        claims=claims,
        signature_bytes=len(parts[2]) * 3 // 4,
        checks=(*checks, *_check_claims(claims, now)),
    )


def render(inspection: Inspection, now: float) -> Iterator[str]:
    """Yield the lines that people read."""
    yield "header"
    yield from _table(inspection.header, now)
    yield "claims"
    yield from _table(inspection.claims, now)
    yield f"signature  {inspection.signature_bytes} bytes, not shown"
    yield "checks"
    for line in inspection.checks:
        verdict, _, text = line.partition(": ")
        yield f"  {verdict}  {printable(text, _SHOWN_CHARS)}"


def moment(value: float, now: float) -> str:
    """Return a time as UTC and as seen from `now`; empty for what no calendar holds."""
    try:
        text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value))
    except (OverflowError, ValueError, OSError):
        return ""
    return f"{text}, {relative(value - now)}"


def relative(seconds: float) -> str:
    """Return how far away a moment is: `in 12 min`, `3 d ago`."""
    size = int(abs(seconds))
    unit_s, unit = next(((unit_s, unit) for unit_s, unit in _UNITS if size >= 2 * unit_s), _UNITS[-1])
    length = f"{size // unit_s} {unit}"
    return f"in {length}" if seconds > 0 else f"{length} ago"


def _members(segment: bytes, name: str) -> tuple[Members, str]:
    """Return the members of a part, and what is wrong with it where it can be read all the same."""
    try:
        text = decode_base64url(segment)
    except ValueError as error:
        raise RequestError(Reason.TOKEN_MALFORMED, f"the {name} is not readable: {error}") from error
    try:
        return decode_object(text), ""
    except ValueError as error:
        fault = f"the {name} is not readable in one way: {error}"
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise RequestError(Reason.TOKEN_MALFORMED, fault)
    return members, f"{fault} ({Reason.CLAIMS_MALFORMED})"


def _check_claims(claims: Members, now: float) -> Iterator[str]:
    yield from _check_present(claims)
    if "cnf" in claims and certificate_of(claims) is None:
        yield f"no: it is bound to a key (`cnf`), and no proof of that is understood ({Reason.TOKEN_BOUND})"
    elif "cnf" in claims:
        yield "ok: it is bound to a client certificate (`cnf`), which its bearer has to present"
    yield from _check_times(claims, now)


def _check_present(claims: Members) -> Iterator[str]:
    wrong = [name for name in ("iss", "sub") if not isinstance(claims.get(name), str) or not claims[name]]
    wrong += [name for name in ("iat", "exp") if not is_number(claims.get(name))]
    wrong += [] if audiences_of(claims) else ["aud"]
    if wrong:
        names = ", ".join(f"`{name}`" for name in wrong)
        yield f"no: missing or of the wrong type: {names} ({Reason.CLAIMS_MALFORMED})"
    else:
        yield "ok: the claims that every token needs are there"


def _check_times(claims: Members, now: float) -> Iterator[str]:
    ends_at, starts_at = claims.get("exp"), claims.get("nbf", claims.get("iat"))
    if isinstance(ends_at, int | float) and is_number(ends_at):
        if ends_at <= now:
            yield f"no: it expired {relative(ends_at - now)} ({Reason.TOKEN_EXPIRED})"
        else:
            yield f"ok: it expires {relative(ends_at - now)}"
    if isinstance(starts_at, int | float) and is_number(starts_at) and starts_at > now:
        yield f"no: it is valid only {relative(starts_at - now)} ({Reason.TOKEN_NOT_YET_VALID})"


def _table(members: Members, now: float) -> Iterable[str]:
    width = max((len(name) for name in members), default=0)
    for name, value in members.items():
        # JSON, so that `"true"` and `true` look as different as they are.
        text = json.dumps(value, ensure_ascii=False)
        if name in TIMES and isinstance(value, int | float) and is_number(value):
            text = f"{text}  {moment(value, now)}"
        yield f"  {printable(name).ljust(min(width, 40))}  {printable(text, _SHOWN_CHARS)}"
