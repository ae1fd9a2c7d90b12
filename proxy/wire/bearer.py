"""
The credential in a request's Authorization headers (RFC 6750 section 2.1, RFC 9110 section 11).

Law: one header, one scheme, one token. A presented credential that cannot be read ends the request;
it is never taken for none.
"""

import re
from typing import Final

from proxy.errors import RequestError
from proxy.model.credential import Credential
from proxy.model.decision import Reason

_TOKEN68: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
_BEARER: Final = re.compile(rb"bearer ++([a-z0-9\-._~+/]++=*+)", re.IGNORECASE).fullmatch
_SCHEME: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9a-z]++)(?![^ ])", re.IGNORECASE).match

EXPECTED: Final = "send one header `Authorization: Bearer TOKEN`"


def find_credential(unverified_values: list[bytes]) -> Credential | None:
    """
    Return the bearer token of a request, or None if it presents nothing.

    `unverified_values` are the values of all Authorization headers. Raises `RequestError` for
    several of them, another scheme, and what is not a token68.
    """
    if not unverified_values:
        return None
    if len(unverified_values) > 1:
        # Not even the same one twice: the next hop may read the other.
        raise RequestError(Reason.SEVERAL_CREDENTIALS, f"{len(unverified_values)} Authorization headers came")
    value = unverified_values[0]
    token = value[7:]
    # Deleting the alphabet is four times as fast as a regular expression over 1.4 KB.
    if value[:7].lower() == b"bearer " and token and not token.translate(None, _TOKEN68):
        return Credential(token)
    return _read(value.strip(b" \t"))


def _read(value: bytes) -> Credential:
    match = _BEARER(value)
    if match is not None:
        return Credential(match[1])
    scheme = _SCHEME(value)
    if scheme is None or scheme[1].lower() == b"bearer":
        raise RequestError(Reason.CREDENTIAL_MALFORMED, EXPECTED)
    raise RequestError(Reason.SCHEME_UNSUPPORTED, EXPECTED)
