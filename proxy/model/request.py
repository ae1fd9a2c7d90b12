"""The request as the policy sees it and as the upstream will receive it."""

from proxy.model.credential import Credential

Headers = list[tuple[bytes, bytes]]
"""Header lines in the order and spelling in which they came."""


class Request:
    """
    One request on its canonical target.

    `host` is lower case without a port, `path` the canonical path, still percent-encoded where
    it must be. `authority` and `target` are the bytes that go upstream: `target` is `path` plus
    the query as it came. `certificate` is the thumbprint of the client certificate of its
    connection, None without one. Nothing that decides may look anywhere else.
    """

    __slots__ = (
        "authority",
        "certificate",
        "client",
        "credential",
        "has_encoded_slash",
        "host",
        "method",
        "path",
        "target",
    )

    def __init__(
        self,
        method: str,
        host: str,
        path: str,
        authority: bytes,
        target: bytes,
        has_encoded_slash: bool,
        credential: Credential | None,
        client: str,
        certificate: str | None = None,
    ) -> None:
        self.method = method
        self.host = host
        self.path = path
        self.authority = authority
        self.target = target
        self.has_encoded_slash = has_encoded_slash
        self.credential = credential
        self.client = client
        self.certificate = certificate

    def __repr__(self) -> str:
        # The query stays out: it is a place where people put secrets.
        return f"<Request {self.method} {self.host}{self.path} from {self.client}>"
