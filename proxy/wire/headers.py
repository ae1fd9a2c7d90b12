"""
Which header lines may pass, and which are ours to set (RFC 9110 section 7.6.1, law 5).

Law: a line is judged on its name in lower case with everything but letters and digits read as `-`,
because CGI-style upstreams fold them (most fold `_`, some `.` and the rest as well); what is ours is
stripped in every spelling and set last, once.
"""

from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from typing import Final

from proxy.errors import RequestError
from proxy.model.decision import Reason
from proxy.model.request import Headers


class Kind(IntEnum):
    """What becomes of a header line."""

    KEEP = 0
    DROP = 1
    HOST = 2
    CONTENT_LENGTH = 3
    TRANSFER_ENCODING = 4
    CONNECTION = 5
    AUTHORIZATION = 6
    EXPECT = 7
    FORWARDED_FOR = 8
    TRACEPARENT = 9
    TRACESTATE = 10
    FORWARDED_PROTO = 11
    TE = 12


SPECIAL = {
    b"host": Kind.HOST,
    b"content-length": Kind.CONTENT_LENGTH,
    b"transfer-encoding": Kind.TRANSFER_ENCODING,
    b"connection": Kind.CONNECTION,
    b"authorization": Kind.AUTHORIZATION,
    b"expect": Kind.EXPECT,
    b"x-forwarded-for": Kind.FORWARDED_FOR,
    b"x-forwarded-proto": Kind.FORWARDED_PROTO,
    b"traceparent": Kind.TRACEPARENT,
    b"tracestate": Kind.TRACESTATE,
    b"te": Kind.TE,
}

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# What upstreams are known to believe: who the client is, or which target was "really" meant.
SPOOFABLE: Final = frozenset(
    {
        b"cf-connecting-ip",
        b"client-cert",
        b"client-cert-chain",
        b"client-ip",
        b"fastly-client-ip",
        b"forwarded",
        b"forwarded-for",
        b"proxy",  # CGI turns it into HTTP_PROXY, which the upstream's own clients obey
        b"remote-addr",
        b"remote-email",
        b"remote-groups",
        b"remote-name",
        b"remote-user",
        b"true-client-ip",
        b"x-client-cert",
        b"x-client-dn",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-forwarded",
        b"x-host",
        b"x-http-host-override",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-forwarded-for",
        b"x-original-host",
        b"x-original-method",
        b"x-original-uri",
        b"x-original-url",
        b"x-originating-ip",
        b"x-proxyuser-ip",
        b"x-real-ip",
        b"x-request-id",
        b"x-rewrite-url",
        b"x-user",
    }
)
SPOOFABLE_PREFIXES = (
    b"x-forwarded-",
    b"x-rolegate-",
    b"x-auth-request-",
    b"x-envoy-",
    b"x-remote-",
    b"x-ssl-client-",
    b"ssl-client-",
    b"x-webauth-",
)

# An attacker may send any number of names, each as long as a head may be: long ones are judged without
# being kept, and at this many the memory starts anew, so that a flood cannot keep the everyday ones out.
MAX_KNOWN_NAMES: Final = 1024
MAX_KNOWN_NAME_BYTES: Final = 64

_FOLDED: Final = bytes(
    ord(chr(octet).lower()) if chr(octet).isalnum() and octet < 128 else ord("-") for octet in range(256)
)


def normal_name(name: bytes) -> bytes:
    """Return the one spelling in which header names are compared."""
    return name.translate(_FOLDED)


class RequestHeaders:
    """
    The verdict on every request header name, each spelling judged once.

    `stripped` are further names that clients may not set: the configured identity headers.
    """

    __slots__ = ("_stripped", "known")

    def __init__(self, stripped: Iterable[bytes] = ()) -> None:
        self._stripped = frozenset(normal_name(name) for name in stripped) | SPOOFABLE | HOP_BY_HOP
        self.known: dict[bytes, Kind] = {}

    def judge(self, name: bytes) -> Kind:
        """Return what becomes of a line with this name, and remember it."""
        kind = self._judge(name)
        if len(name) <= MAX_KNOWN_NAME_BYTES:
            if len(self.known) >= MAX_KNOWN_NAMES:
                self.known.clear()
            self.known[name] = kind
        return kind

    def _judge(self, name: bytes) -> Kind:
        normal = normal_name(name)
        if normal in SPECIAL:
            # `Content_Length` is nobody's header; a folding upstream would take it for the real one.
            return SPECIAL[normal] if name.lower() == normal else Kind.DROP
        if normal in self._stripped or normal.startswith(SPOOFABLE_PREFIXES):
            return Kind.DROP
        return Kind.KEEP


class SortedHeaders:
    """
    The header lines of one request, sorted by what becomes of them.

    `kept` is a flat list of wire bytes: name, separator, value, line end, name, …
    """

    __slots__ = (
        "authorizations",
        "content_length",
        "expects",
        "forwarded_for",
        "forwarded_protos",
        "hosts",
        "kept",
        "nominated",
        "traceparents",
        "tracestates",
        "transfer_encodings",
    )

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.hosts: list[bytes] = []
        self.authorizations: list[bytes] = []
        self.content_length: int | None = None
        self.transfer_encodings: list[bytes] = []
        self.nominated: set[bytes] = set()
        self.expects: list[bytes] = []
        self.forwarded_for: list[bytes] = []
        self.forwarded_protos: tuple[bytes, ...] = ()
        self.traceparents: list[bytes] = []
        self.tracestates: list[bytes] = []


# 2**64 - 1, where parsers stop counting, has twenty digits.
MAX_LENGTH_DIGITS: Final = 20

# RFC 9110 section 10.1.4: `TE` goes with a `Connection` that names it. We pass trailers on, so we may say so.
TAKES_TRAILERS: Final = b"Connection: TE\r\nTE"

EVERYDAY_CONNECTION: Final = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close"})


def sort_headers(headers: Headers, rules: RequestHeaders) -> SortedHeaders:  # noqa: C901 - one line a kind
    """Sort `headers` in one pass and apply what `Connection` nominates."""
    found = SortedHeaders()
    kept = found.kept
    known = rules.known
    for name, value in headers:
        kind = known.get(name)
        if kind is None:
            kind = rules.judge(name)
        if kind is Kind.KEEP:
            kept += (name, b": ", value, b"\r\n")
        elif kind is Kind.HOST:
            found.hosts.append(value.strip(b" \t"))
        elif kind is Kind.AUTHORIZATION:
            found.authorizations.append(value)
        elif kind is Kind.CONTENT_LENGTH:
            if found.content_length is not None:
                raise RequestError(Reason.AMBIGUOUS_FRAMING, "send exactly one Content-Length")
            found.content_length = content_length(value)
        elif kind is Kind.TRANSFER_ENCODING:
            # Not a tab, which llhttp does not strip here either.
            found.transfer_encodings.append(value.strip(b" ").lower())
        elif kind is Kind.CONNECTION:
            if value not in EVERYDAY_CONNECTION:
                found.nominated.update(normal_name(token.strip(b" \t")) for token in value.split(b","))
        elif kind is Kind.EXPECT:
            found.expects.append(value.strip(b" \t").lower())
        elif kind is Kind.FORWARDED_FOR:
            found.forwarded_for.append(value)
        elif kind is Kind.TRACEPARENT:
            found.traceparents.append(value)
        elif kind is Kind.TRACESTATE:
            found.tracestates.append(value)
        elif kind is Kind.FORWARDED_PROTO:
            found.forwarded_protos += (value,)
        elif kind is Kind.TE and value.strip(b" \t").lower() == b"trailers" and TAKES_TRAILERS not in kept:
            kept += (TAKES_TRAILERS, b": ", b"trailers", b"\r\n")
    if found.nominated:
        found.kept = without_nominated(kept, found.nominated)
    return found


def content_length(value: bytes) -> int:
    """
    Return the number in a Content-Length, or raise `RequestError`.

    RFC 9110 section 8.6 knows digits only; `int` would take `+5`, `1_000` and a line end as well.
    """
    digits = value.strip(b" \t")
    if not digits.isdigit() or len(digits) > MAX_LENGTH_DIGITS:
        raise RequestError(Reason.AMBIGUOUS_FRAMING, "Content-Length has to be a decimal number")
    return int(digits)


def without_nominated(lines: list[bytes], nominated: set[bytes]) -> list[bytes]:
    """Return the flat `lines` less those whose name the client's `Connection` header lists."""
    return [
        part
        for start in range(0, len(lines), 4)
        if normal_name(lines[start]) not in nominated
        for part in lines[start : start + 4]
    ]


RESPONSE_DROPPED: Final = HOP_BY_HOP | {b"x-request-id", b"content-length"}
_known_response_names: dict[bytes, bool] = {}


def keep_in_response(name: bytes) -> bool:
    """Whether a response header line of this name goes on to the client as it is."""
    kept = _known_response_names.get(name)
    if kept is None:
        kept = name.lower() not in RESPONSE_DROPPED
        if len(name) <= MAX_KNOWN_NAME_BYTES:
            if len(_known_response_names) >= MAX_KNOWN_NAMES:
                _known_response_names.clear()
            _known_response_names[name] = kept
    return kept


# RFC 9110 section 5.6.2, and RFC 3986 unreserved for what may stand in an injected value as it is.
_VALUE_SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+/:;=?@[]|#"
VALUE_SAFE = frozenset(_VALUE_SAFE)


def header_text(text: str) -> bytes:
    """
    Return `text` as a header value that cannot end its line, its list or its encoding.

    A claim is the identity provider's text: a subject with a line end in it would inject a
    header. Everything but visible ASCII, and `%` and `,`, is percent-encoded as UTF-8.
    """
    raw = text.encode("utf-8", "surrogatepass")
    if not raw.translate(None, _VALUE_SAFE):
        return raw
    return b"".join(b"%c" % octet if octet in VALUE_SAFE else b"%%%02X" % octet for octet in raw)


def identity_lines(
    names: tuple[bytes, bytes, bytes], issuer: str, subject: str, roles: Iterable[str]
) -> bytes:
    """Return the header lines that tell the upstream who asks; `names` are (subject, issuer, roles)."""
    subject_name, issuer_name, roles_name = names
    return b"%b: %b\r\n%b: %b\r\n%b: %b\r\n" % (
        subject_name,
        header_text(subject),
        issuer_name,
        _configured_text(issuer),
        roles_name,
        b",".join([_configured_text(role) for role in sorted(roles)]),
    )


# Issuers and roles are those of the configuration: few, and the same for each token.
_configured_text = lru_cache(maxsize=1024)(header_text)


def require_one_host(hosts: list[bytes]) -> bytes:
    """Return the only Host value; RFC 9112 section 3.2 refuses none, two and a list."""
    if len(hosts) != 1:
        came = "none came" if not hosts else f"{len(hosts)} came"
        raise RequestError(Reason.AMBIGUOUS_HOST, f"send exactly one Host header; {came}")
    return hosts[0]


def claimed_host(headers: Headers) -> str:
    """
    Return the first Host as the client wrote it, for the record of a request that could not be read.

    Without what stands before an `@`: a name and a password.
    """
    hosts = (value for name, value in headers if name.lower() == b"host")
    return next(hosts, b"").rpartition(b"@")[2].decode("latin-1")
