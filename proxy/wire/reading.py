"""
The head of a request, read once: the canonical request, and the lines that go upstream.

Law: whatever could be read in two ways raises `RequestError` here, before anything is decided. What
goes upstream is built from what the policy saw: the canonical target, the kept lines, and ours last.
"""

from ipaddress import IPv4Network, IPv6Network
from typing import Final

from proxy.errors import RequestError
from proxy.model.decision import Reason
from proxy.model.peer import Peer
from proxy.model.request import Headers, Request
from proxy.wire.bearer import find_credential
from proxy.wire.forwarded import client_address, client_scheme
from proxy.wire.framing import Framing, request_framing
from proxy.wire.headers import RequestHeaders, require_one_host, sort_headers
from proxy.wire.target import parse_target
from proxy.wire.traceparent import continue_trace

Networks = tuple[IPv4Network | IPv6Network, ...]

# CONNECT asks for a tunnel past every rule; TRACE would show the caller the headers that we inject.
REFUSED_METHODS: Final = frozenset({"CONNECT", "TRACE"})


class HeaderBlock:
    """
    What the header lines of a request say, whatever its request line says.

    A client that keeps its connection mostly sends the same lines again, so that one reading can
    serve many requests. `kept` and `framing_lines` are wire bytes for the upstream; `chain` the
    trusted proxies between the client and us; `scheme` the one by which the client came;
    `certificate` that of its connection; `announced_bytes` the Content-Length, 0 where there is none.
    `rules` and `trusted` are what it was read by.
    """

    __slots__ = (
        "announced_bytes",
        "authorization",
        "certificate",
        "chain",
        "claimed_host",
        "client",
        "credential",
        "expects_continue",
        "framing",
        "framing_lines",
        "headers",
        "kept",
        "rules",
        "scheme",
        "traceparents",
        "tracestates",
        "trusted",
    )

    def __init__(
        self, version: str, headers: Headers, rules: RequestHeaders, peer: Peer, trusted: Networks
    ) -> None:
        found = sort_headers(headers, rules)
        self.headers = headers
        self.rules = rules
        self.trusted = trusted
        self.framing = request_framing(version, found)
        self.claimed_host = require_one_host(found.hosts)
        self.credential = find_credential(found.authorizations)
        self.authorization = found.authorizations[0] if self.credential is not None else b""
        self.client, self.chain = client_address(peer, found.forwarded_for, trusted)
        self.scheme = client_scheme(peer, found.forwarded_protos, self.chain, trusted)
        self.certificate = peer.certificate
        self.traceparents = found.traceparents
        self.tracestates = found.tracestates
        # RFC 9110 section 10.1.1: an HTTP/1.0 client does not wait for a 100, whatever it says.
        self.expects_continue = bool(found.expects) and version != "1.0"
        self.announced_bytes = found.content_length or 0
        self.kept = b"".join(found.kept)
        self.framing_lines = b"Expect: 100-continue\r\n" if self.expects_continue else b""
        if self.framing is Framing.CHUNKED:
            self.framing_lines += b"Transfer-Encoding: chunked\r\n"
        elif found.content_length is not None:
            self.framing_lines += b"Content-Length: %d\r\n" % found.content_length

    @property
    def announces_nothing(self) -> bool:
        """Whether the request ends with its head, and says nothing about what comes behind it."""
        return self.framing is Framing.NONE and not self.framing_lines

    def trace_lines(self, trace_id: str, span_id: str) -> bytes:
        """Return the lines by which the upstream's work joins the client's trace, or begins `trace_id`."""
        traceparent, keeps_tracestate = continue_trace(self.traceparents, trace_id, span_id)
        if keeps_tracestate and self.tracestates:
            return b"traceparent: %b\r\ntracestate: %b\r\n" % (traceparent, b",".join(self.tracestates))
        return b"traceparent: %b\r\n" % traceparent

    def upstream_lines(
        self,
        request: Request,
        trace_lines: bytes,
        injected: tuple[bytes, ...],
        *,
        with_credential: bool,
        target: bytes = b"",
    ) -> list[bytes]:
        """Return the pieces of the head that goes upstream with `target`, if given; `injected` come last."""
        parts = [
            request.method.encode(),
            b" ",
            target or request.target,
            b" HTTP/1.1\r\nHost: ",
            request.authority,
            b"\r\n",
            self.kept,
            trace_lines,
            self.framing_lines,
        ]
        if with_credential and self.authorization:
            parts += (b"Authorization: ", self.authorization, b"\r\n")
        parts += injected
        parts.append(b"\r\n")
        return parts


def read_request(method: str, claimed_target: bytes, block: HeaderBlock) -> Request:
    """Return the request in the only way it can be read, or raise `RequestError`."""
    if method in REFUSED_METHODS:
        raise RequestError(Reason.METHOD_REFUSED, f"{method} is not forwarded")
    path, target, has_encoded_slash, host, authority = parse_target(claimed_target, block.claimed_host)
    # By position: by name, with a call for each request, is more than twice as dear.
    return Request(
        method, host, path, authority, target, has_encoded_slash,
        block.credential, block.client, block.certificate,
    )  # fmt: skip
