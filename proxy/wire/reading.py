"""
The head of a request, read once: the canonical request, and the lines that go upstream.

Law: whatever could be read in two ways raises `RequestError` here, before anything is decided. What
goes upstream is built from what the policy saw: the canonical target, the kept lines, and ours last.
"""

from ipaddress import IPv4Network, IPv6Network

from proxy.errors import RequestError
from proxy.model.decision import Reason
from proxy.model.peer import Peer, Scheme
from proxy.model.request import Headers, Request
from proxy.wire.bearer import find_credential
from proxy.wire.forwarded import client_address, client_scheme
from proxy.wire.framing import Framing, request_framing
from proxy.wire.headers import RequestHeaders, require_one_host, sort_headers
from proxy.wire.target import parse_target
from proxy.wire.traceparent import continue_trace

Networks = tuple[IPv4Network | IPv6Network, ...]

# CONNECT asks for a tunnel past every rule; TRACE would show the caller the headers that we inject.
REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})


class Head:
    """
    One request's head: what is decided on, and how the message goes on.

    `lines` is a flat list of header bytes for the upstream; `chain` the trusted proxies between
    the client and us; `scheme` the one by which the client came; `announced_bytes` the
    Content-Length, 0 where there is none.
    """

    __slots__ = (
        "announced_bytes",
        "authorization",
        "chain",
        "expects_continue",
        "framing",
        "lines",
        "request",
        "scheme",
    )

    def __init__(
        self,
        request: Request,
        framing: Framing,
        lines: list[bytes],
        chain: tuple[str, ...],
        authorization: bytes,
        announced_bytes: int,
        expects_continue: bool,
        scheme: Scheme,
    ) -> None:
        self.request = request
        self.framing = framing
        self.lines = lines
        self.chain = chain
        self.authorization = authorization
        self.announced_bytes = announced_bytes
        self.expects_continue = expects_continue
        self.scheme: Scheme = scheme

    def upstream_lines(self, injected: tuple[bytes, ...], *, with_credential: bool) -> list[bytes]:
        """Return the pieces of the head that goes upstream, `injected` lines last."""
        request = self.request
        parts = [
            request.method.encode(),
            b" ",
            request.target,
            b" HTTP/1.1\r\nHost: ",
            request.authority,
            b"\r\n",
        ]
        parts += self.lines
        if with_credential and self.authorization:
            parts += (b"Authorization: ", self.authorization, b"\r\n")
        parts += injected
        parts.append(b"\r\n")
        return parts


def read_head(
    method: str,
    target: bytes,
    version: str,
    headers: Headers,
    *,
    rules: RequestHeaders,
    peer: Peer,
    trusted: Networks,
    trace_id: str,
    span_id: str,
) -> Head:
    """Return the head in the only way it can be read, or raise `RequestError`."""
    found = sort_headers(headers, rules)
    framing = request_framing(version, found)
    if method in REFUSED_METHODS:
        raise RequestError(Reason.METHOD_REFUSED, f"{method} is not forwarded")
    seen = parse_target(target, require_one_host(found.hosts))
    credential = find_credential(found.authorizations)
    client, chain = client_address(peer, found.forwarded_for, trusted)
    scheme = peer.scheme
    if found.forwarded_protos:
        scheme = client_scheme(peer, found.forwarded_protos, chain, trusted)
    traceparent, keeps_tracestate = continue_trace(found.traceparents, trace_id, span_id)
    lines = found.kept
    lines += (b"traceparent: ", traceparent, b"\r\n")
    if keeps_tracestate and found.tracestates:
        lines += (b"tracestate: ", b",".join(found.tracestates), b"\r\n")
    # RFC 9110 section 10.1.1: an HTTP/1.0 client does not wait for a 100, whatever it says.
    expects_continue = bool(found.expects) and version != "1.0"
    if expects_continue:
        lines.append(b"Expect: 100-continue\r\n")
    if framing is Framing.CHUNKED:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    elif found.content_length is not None:
        lines.append(b"Content-Length: %d\r\n" % found.content_length)
    request = Request(
        method=method,
        host=seen.host,
        path=seen.path,
        authority=seen.authority,
        target=seen.target,
        has_encoded_slash=seen.has_encoded_slash,
        headers=headers,
        credential=credential,
        client=client,
        certificate=peer.certificate,
    )
    return Head(
        request,
        framing,
        lines,
        chain,
        found.authorizations[0] if credential is not None else b"",
        found.content_length or 0,
        expects_continue,
        scheme,
    )
