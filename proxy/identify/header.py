"""
RFC 7515 JOSE header of a token: read once, believed in nothing but the choice of a key.

`jku`, `x5u`, `x5c` and `jwk` are never looked at: a token does not get to say which key proves it.

Headers that begin alike are read once, for `cold` of `tests/bench/inner.py`.
"""

from dataclasses import dataclass
from typing import Final

from proxy.identify.interfaces import Refusal
from proxy.identify.issuers import ALGORITHMS, is_never_a_credential, media_type
from proxy.identify.strict import decode_base64url, decode_object
from proxy.model.decision import Reason

# Usual headers have 100 to 300 bytes. This one is read strictly before anybody vouches for it, and
# that costs more the longer it is.
MAX_HEADER_BYTES: Final = 4096

# An issuer's tokens all begin with one of a few headers. Anybody can send others: short ones that could be
# read are kept, and at so many the memory starts anew.
MAX_KNOWN_HEADERS: Final = 256
MAX_KNOWN_HEADER_BYTES: Final = 512
_known_headers: "dict[bytes, Header]" = {}

# A key id is a name; longer ones only serve to fill logs.
MAX_KID_CHARS: Final = 255


@dataclass(frozen=True, slots=True)
class Header:
    """The three members that count. `typ` is a media type as `issuers.media_type` writes it, or empty."""

    algorithm: str
    kid: str | None
    typ: str


def read_header(unverified_segment: bytes) -> Header | Refusal:
    """Return the header of a token, or why no issuer at all could accept it."""
    known = _known_headers.get(unverified_segment)
    if known is not None:
        return known
    header = _read(unverified_segment)
    if isinstance(header, Header) and len(unverified_segment) <= MAX_KNOWN_HEADER_BYTES:
        if len(_known_headers) >= MAX_KNOWN_HEADERS:
            _known_headers.clear()
        _known_headers[unverified_segment] = header
    return header


def _read(unverified_segment: bytes) -> Header | Refusal:
    if len(unverified_segment) > MAX_HEADER_BYTES:
        return Refusal(Reason.TOKEN_MALFORMED, f"the header is longer than {MAX_HEADER_BYTES} bytes")
    try:
        members = decode_object(decode_base64url(unverified_segment))
    except ValueError as error:
        return Refusal(Reason.TOKEN_MALFORMED, f"the header is not readable: {error}")
    algorithm = members.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        return Refusal(
            Reason.ALGORITHM_REFUSED, f"algorithm must be an asymmetric signature, got {shown(algorithm)}"
        )
    if "crit" in members:
        return Refusal(Reason.CRITICAL_HEADER, "the header has `crit`, and no extension is understood here")
    # RFC 7797: `b64: false` changes what was signed. Allowed with `crit` only, refused in any case.
    if members.get("b64", True) is not True:
        return Refusal(Reason.CRITICAL_HEADER, "the header has `b64`, and the payload must be base64url")
    kid = members.get("kid")
    if "kid" in members and not (isinstance(kid, str) and len(kid) <= MAX_KID_CHARS):
        detail = f"`kid` must be text of at most {MAX_KID_CHARS} characters, got {shown(kid)}"
        return Refusal(Reason.TOKEN_MALFORMED, detail)
    typ = members.get("typ", "")
    if not isinstance(typ, str):
        return Refusal(Reason.TYPE_REFUSED, f"`typ` must be text, got {shown(typ)}")
    name = media_type(typ)
    if is_never_a_credential(name):
        return Refusal(Reason.TYPE_REFUSED, f"a `{name}` is not a credential")
    return Header(algorithm, kid if isinstance(kid, str) else None, name)


def shown(value: object) -> str:
    """Return a value of a token for a message: short, printable, in backticks."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return f"`{text[:80]}`"
