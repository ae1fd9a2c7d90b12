"""
Fields behind a body in chunks (RFC 9110 section 6.5, RFC 9112 section 7.1.2).

Law: a trailer stays a trailer. What could frame or route the message, name or prove the caller, or
change what the head said does not pass, since a recipient that merges trailers into its headers
would obey it after everybody had decided on the head alone.
"""

from proxy.model.request import Headers
from proxy.wire.headers import Kind, RequestHeaders, keep_in_response, normal_name

# RFC 9110 section 6.5.1: framing, routing, request modifiers, authentication, response control, content.
FORBIDDEN = frozenset(
    {
        b"accept-ranges",
        b"age",
        b"allow",
        b"alt-svc",
        b"authentication-info",
        b"authorization",
        b"cache-control",
        b"clear-site-data",
        b"connection",
        b"cookie",
        b"date",
        b"dpop",
        b"expect",
        b"expires",
        b"host",
        b"location",
        b"max-forwards",
        b"origin",
        b"pragma",
        b"range",
        b"referer",
        b"refresh",
        b"retry-after",
        b"set-cookie",
        b"strict-transport-security",
        b"traceparent",
        b"tracestate",
        b"vary",
        b"via",
        b"warning",
        b"www-authenticate",
    }
)
FORBIDDEN_PREFIXES = (b"access-control-", b"content-", b"if-", b"proxy-", b"sec-", b"x-forwarded-")


def passes_up(name: bytes, rules: RequestHeaders, headers: Headers) -> bool:
    """Whether a trailer of this name may follow a request with these `headers` to the upstream."""
    kind = rules.known.get(name)
    if kind is None:
        kind = rules.judge(name)
    return kind is Kind.KEEP and not _is_forbidden(name) and normal_name(name) not in _nominated(headers)


def passes_down(name: bytes, nominated: set[bytes]) -> bool:
    """Whether a trailer of this name may follow a response whose Connection names `nominated`."""
    return keep_in_response(name) and not _is_forbidden(name) and normal_name(name) not in nominated


def with_trailer(last_chunk: bytes, name: bytes, value: bytes) -> bytes:
    """Return the end of a body in chunks with one more trailer."""
    return b"%b%b: %b\r\n\r\n" % (last_chunk[: -len(b"\r\n")], name, value)


def _is_forbidden(name: bytes) -> bool:
    normal = normal_name(name)
    return normal in FORBIDDEN or normal.startswith(FORBIDDEN_PREFIXES)


def _nominated(headers: Headers) -> set[bytes]:
    return {
        normal_name(token.strip(b" \t"))
        for name, value in headers
        if name.lower() == b"connection"
        for token in value.split(b",")
    }
