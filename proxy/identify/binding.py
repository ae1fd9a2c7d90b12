"""RFC 7800 `cnf`: to what a token is bound; RFC 8705 section 3.1: to a client certificate."""

from proxy.identify.interfaces import Claims
from proxy.identify.strict import decode_base64url

MEMBER = "x5t#S256"

_SHA256_BYTES = 32


def certificate_of(claims: Claims) -> str | None:
    """
    Return the thumbprint of the certificate that a token is bound to.

    None where it is bound to nothing or to anything else. A second member beside the thumbprint asks
    for a second proof (DPoP with `jkt`, a key with `jwk`), which nobody here could check.
    """
    confirmation = claims.get("cnf")
    if not isinstance(confirmation, dict) or confirmation.keys() != {MEMBER}:
        return None
    thumbprint = confirmation[MEMBER]
    if not isinstance(thumbprint, str) or not thumbprint.isascii():
        return None
    try:
        return thumbprint if len(decode_base64url(thumbprint.encode())) == _SHA256_BYTES else None
    except ValueError:
        return None
