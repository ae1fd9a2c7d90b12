"""
RFC 7519 tokens, verified as RFC 8725 advises.

Law: a token passes every check of `CHECKS`, in that order, or is refused by the first that fails.
Nothing it says is believed before the signature held, except `iss` and `kid` to choose a configured
issuer and one of its keys. No check waits or asks anybody. The audience is not checked here: it
depends on the route, and what is cached must not.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, Protocol

import msgspec

from proxy.identify import registered
from proxy.identify.binding import certificate_of
from proxy.identify.header import Header, read_header, shown
from proxy.identify.interfaces import Refusal, SignedClaims
from proxy.identify.issuers import Issuer, quoted
from proxy.identify.signature import PublicKey, is_signed_by
from proxy.identify.strict import decode_base64url, decode_object
from proxy.model.decision import Reason


class Keys(Protocol):
    """The key sets at hand, by alias of the issuer."""

    def find(self, alias: str, kid: str | None, algorithm: str) -> PublicKey | None:
        """Return the key of that issuer, or None."""
        ...

    def has_set(self, alias: str) -> bool:
        """Whether there is a set of that issuer that can still be believed, even an empty one."""
        ...


class Verified(NamedTuple):
    """What remains of a good token."""

    claims: SignedClaims
    issuer: Issuer


class _Peek(msgspec.Struct):
    """The claims that are looked at before the signature: one to choose keys by, one only to refuse."""

    iss: str
    exp: msgspec.Raw = msgspec.Raw(b"")


# A time has ten digits, perhaps a fraction; what is longer is not worth reading before the signature.
MAX_EXP_BYTES: Final = 32

# It skips over everything else without building it: strict reading of 16 kB of junk costs 2 ms, this
# 0.1, and anybody can send junk. What it lets through is read strictly once the signature held.
_PEEK: Final = msgspec.json.Decoder(_Peek)


class Verification:
    """
    One token on its way through the checks.

    Each check leaves here what the next ones need. `payload` is what nobody has vouched for yet;
    `claims` exist only after the signature held.
    """

    __slots__ = (
        "claims",
        "header",
        "issuer",
        "issuers",
        "key",
        "keys",
        "now",
        "payload",
        "peeked_exp",
        "signature",
        "signing_input",
        "token",
    )

    # Set by the checks in the order of CHECKS; reading one too early is an AttributeError, not a None.
    signature: bytes
    signing_input: bytes
    header: Header
    payload: bytes
    peeked_exp: bytes
    issuer: Issuer
    key: PublicKey
    claims: dict[str, object]

    def __init__(self, token: bytes, issuers: Mapping[str, Issuer], keys: Keys, now: float) -> None:
        self.token = token
        self.issuers = issuers
        self.keys = keys
        self.now = now


def verify(
    unverified_token: bytes, issuers: Mapping[str, Issuer], keys: Keys, now: float
) -> Verified | Refusal:
    """Return what a token says, or the first reason not to believe it. `issuers` is keyed by URL."""
    verification = Verification(unverified_token, issuers, keys, now)
    for _, check in CHECKS:
        refusal = check(verification)
        if refusal is not None:
            return refusal
    return Verified(SignedClaims(verification.claims), verification.issuer)


def explain(
    unverified_token: bytes, issuers: Mapping[str, Issuer], keys: Keys, now: float
) -> Iterator[tuple[str, Refusal | Verified | None]]:
    """Yield each check in words with None for passed, up to the refusal or the verified token."""
    verification = Verification(unverified_token, issuers, keys, now)
    for promise, check in CHECKS:
        refusal = check(verification)
        yield promise, refusal
        if refusal is not None:
            return
    yield "the token is verified", Verified(SignedClaims(verification.claims), verification.issuer)


def check_size(v: Verification) -> Refusal | None:
    """Refuse before any work what is longer than any issuer allows."""
    limit = max((issuer.max_token_bytes for issuer in v.issuers.values()), default=0)
    if len(v.token) > limit:
        return Refusal(
            Reason.TOKEN_TOO_LARGE, f"a token has at most {limit} bytes here, this one {len(v.token)}"
        )
    return None


def check_parts(v: Verification) -> Refusal | None:
    """Split the compact form (RFC 7515, 3.1) and decode the signature."""
    parts = v.token.split(b".")
    if len(parts) == 5:
        return Refusal(Reason.TOKEN_ENCRYPTED, "the token has five parts: it is encrypted (JWE)")
    if len(parts) != 3:
        return Refusal(Reason.TOKEN_MALFORMED, f"a token has three parts, this one {len(parts)}")
    try:
        v.signature = decode_base64url(parts[2])
    except ValueError as error:
        return Refusal(Reason.TOKEN_MALFORMED, f"the signature is not readable: {error}")
    v.signing_input = v.token[: -len(parts[2]) - 1]
    return None


def check_header(v: Verification) -> Refusal | None:
    """Read the header."""
    header = read_header(v.signing_input.partition(b".")[0])
    if isinstance(header, Refusal):
        return header
    v.header = header
    return None


def check_issuer(v: Verification) -> Refusal | None:
    """Choose the configured issuer by exact comparison (RFC 8414, 2: no normalisation)."""
    try:
        v.payload = decode_base64url(v.signing_input.partition(b".")[2])
    except ValueError as error:
        return Refusal(Reason.TOKEN_MALFORMED, f"the payload is not readable: {error}")
    try:
        peeked = _PEEK.decode(v.payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return Refusal(Reason.CLAIMS_MALFORMED, f"`iss` is not readable: {error}")
    claimed, v.peeked_exp = peeked.iss, bytes(peeked.exp)
    issuer = v.issuers.get(claimed)
    if issuer is None:
        trusted = quoted(sorted(v.issuers))
        return Refusal(Reason.ISSUER_UNKNOWN, f"issuer {shown(claimed)} is not trusted; trusted: {trusted}")
    v.issuer = issuer
    if len(v.token) > issuer.max_token_bytes:
        limit = f"a token of `{issuer.alias}` has at most {issuer.max_token_bytes} bytes"
        return Refusal(Reason.TOKEN_TOO_LARGE, f"{limit}, this one {len(v.token)}", issuer.alias)
    return None


def check_algorithm(v: Verification) -> Refusal | None:
    """Accept the algorithms that are configured, whatever the keys could do (RFC 8725, 3.1)."""
    if v.header.algorithm not in v.issuer.algorithms:
        welcome = quoted(sorted(v.issuer.algorithms))
        detail = f"`{v.issuer.alias}` signs with {welcome}, not `{v.header.algorithm}`"
        return Refusal(Reason.ALGORITHM_REFUSED, detail, v.issuer.alias)
    return None


def check_type(v: Verification) -> Refusal | None:
    """Accept the kinds of token that are welcome (RFC 8725, 3.11)."""
    welcome = v.issuer.accepted_types
    if v.header.typ not in welcome:
        names = quoted([name or "(none)" for name in sorted(welcome)])
        detail = f"`typ` must be {names}, got {shown(v.header.typ or '(none)')}"
        return Refusal(Reason.TYPE_REFUSED, detail, v.issuer.alias)
    return None


def check_end(v: Verification) -> Refusal | None:
    """
    Refuse what has expired by its own words before any work is done for it.

    Nobody has signed these words yet, so that they may only refuse: whoever changes `exp` breaks the
    signature, and a token that says it is over is over whoever says it. What cannot be read here is
    for the checks behind the signature.
    """
    if len(v.peeked_exp) > MAX_EXP_BYTES:
        return None
    try:
        ends_at = float(v.peeked_exp)
    except ValueError:
        return None
    if v.now >= ends_at + v.issuer.leeway_s:
        return Refusal(Reason.TOKEN_EXPIRED, f"expired {v.now - ends_at:.0f} s ago", v.issuer.alias)
    return None


def check_key(v: Verification) -> Refusal | None:
    """Find the key of that issuer, name and algorithm."""
    key = v.keys.find(v.issuer.alias, v.header.kid, v.header.algorithm)
    if key is not None:
        v.key = key
        return None
    if not v.keys.has_set(v.issuer.alias):
        detail = f"there are no keys of `{v.issuer.alias}` to verify with"
        return Refusal(Reason.KEYS_UNAVAILABLE, detail, v.issuer.alias)
    name = "without a name" if v.header.kid is None else shown(v.header.kid)
    detail = f"`{v.issuer.alias}` has no single key {name} for `{v.header.algorithm}`"
    return Refusal(Reason.KEY_UNKNOWN, detail, v.issuer.alias)


def check_signature(v: Verification) -> Refusal | None:
    """Verify the signature."""
    if not is_signed_by(v.key, v.header.algorithm, v.signing_input, v.signature):
        detail = f"the signature is not by the key of `{v.issuer.alias}`"
        return Refusal(Reason.SIGNATURE_INVALID, detail, v.issuer.alias)
    return None


def check_payload(v: Verification) -> Refusal | None:
    """Read the claims strictly, and `iss` once more: another parser found it before."""
    try:
        v.claims = decode_object(v.payload)
    except ValueError as error:
        return Refusal(Reason.CLAIMS_MALFORMED, f"the claims are not readable: {error}", v.issuer.alias)
    if v.claims.get("iss") != v.issuer.url:
        return Refusal(Reason.CLAIMS_MALFORMED, "`iss` can be read in two ways", v.issuer.alias)
    return None


def check_claims(v: Verification) -> Refusal | None:
    """Demand the claims that everything else relies on."""
    return registered.check_claims(v.claims, v.issuer)


def check_times(v: Verification) -> Refusal | None:
    """Compare the times with the clock."""
    return registered.check_times(v.claims, v.issuer, v.now)


def check_binding(v: Verification) -> Refusal | None:
    """Refuse a token whose holder has to prove a key in a way that we cannot check: it may be stolen."""
    if "cnf" in v.claims and certificate_of(v.claims) is None:
        detail = (
            "the token is bound to a key (`cnf`), and no proof but a client certificate is understood here"
        )
        return Refusal(Reason.TOKEN_BOUND, detail, v.issuer.alias)
    return None


def check_profile(v: Verification) -> Refusal | None:
    """Ask what is known of this provider."""
    detail = v.issuer.profile.refuse(v.claims)
    return None if detail is None else Refusal(Reason.PROFILE_REFUSED, detail, v.issuer.alias)


CHECKS: Final[tuple[tuple[str, Callable[[Verification], Refusal | None]], ...]] = (
    ("the token is not too long", check_size),
    ("it is a signed token in compact form", check_parts),
    ("its header is readable and asks for nothing unusual", check_header),
    ("its issuer is trusted", check_issuer),
    ("the issuer may use this algorithm", check_algorithm),
    ("this type of token is welcome", check_type),
    ("it has not expired by its own words", check_end),
    ("the key is known", check_key),
    ("the signature is valid", check_signature),
    ("its claims are readable in one way", check_payload),
    ("the claims that every token needs are there", check_claims),
    ("it is valid now", check_times),
    ("what it is bound to, if anything, is a client certificate", check_binding),
    ("the profile of the issuer has no objection", check_profile),
)
"""Every check in order, in words and as a function; the cheap ones and those without a key first."""
