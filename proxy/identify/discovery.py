"""
OpenID Connect Discovery 1.0: where the keys of an issuer are.

Law: documents are fetched for configured issuers only, from the configured URL, and a document
that names another issuer is discarded: who can answer for one path of a host must not be able to
speak for another.
"""

from proxy.errors import IssuerError
from proxy.identify.header import shown
from proxy.identify.interfaces import Fetch
from proxy.identify.issuers import Issuer, is_safe_url
from proxy.identify.keyset import KeySet, read_key_set
from proxy.identify.strict import decode_object

# A discovery document has 3 to 8 kB, a set of a few keys 2 to 20 kB (Entra's carry certificates).
MAX_DOCUMENT_BYTES = 256 * 1024


async def fetch_key_set(issuer: Issuer, fetch: Fetch) -> KeySet:
    """Return the keys that the issuer publishes now. Raises IssuerError."""
    jwks_url = issuer.jwks_url
    if jwks_url is None:
        jwks_url = read_jwks_url(issuer, await _get(fetch, discovery_url(issuer.url), issuer))
    return read_key_set(await _get(fetch, jwks_url, issuer), issuer.algorithms)


def discovery_url(issuer_url: str) -> str:
    """Return where the issuer describes itself (Discovery 1.0, 4: behind the path, one slash)."""
    return issuer_url.rstrip("/") + "/.well-known/openid-configuration"


def read_jwks_url(issuer: Issuer, document: bytes) -> str:
    """Return where the keys are, by the issuer's own description."""
    try:
        members = decode_object(document)
    except ValueError as error:
        raise IssuerError(f"the discovery document is not readable: {error}") from error
    if members.get("issuer") != issuer.url:
        raise IssuerError(
            f"the discovery document is of issuer {shown(members.get('issuer'))}, expected `{issuer.url}`"
        )
    jwks_url = members.get("jwks_uri")
    if not isinstance(jwks_url, str) or not is_safe_url(jwks_url):
        raise IssuerError(f"`jwks_uri` must be an https URL, got {shown(jwks_url)}")
    # Plain http is for tests on this machine: a remote issuer must not point us at local services.
    if issuer.url.startswith("https:") and not jwks_url.startswith("https:"):
        raise IssuerError(f"`jwks_uri` of an https issuer must be https, got {shown(jwks_url)}")
    return jwks_url


async def _get(fetch: Fetch, url: str, issuer: Issuer) -> bytes:
    return await fetch(
        url, timeout_s=issuer.keys.timeout_s, max_bytes=MAX_DOCUMENT_BYTES, ca_file=issuer.ca_file
    )
