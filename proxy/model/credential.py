"""What a client presented, before anybody believed it."""

from proxy.model.decision import Decision
from proxy.model.identity import Identity


class Credential:
    """
    A bearer token as presented: unverified, and never printed.

    `unverified_token` holds the bytes behind `Bearer `, already limited to the token68 alphabet.
    `identity` is who it turned out to be in the `epoch` of whoever verified it, or `refusal` what it was
    refused by, until `refused_until` (epoch seconds): a client that keeps its connection presents the
    same token again, and the answer holds as long as the epoch does.
    """

    __slots__ = ("epoch", "identity", "refusal", "refused_until", "unverified_token")

    def __init__(self, unverified_token: bytes) -> None:
        self.unverified_token = unverified_token
        self.identity: Identity | None = None
        self.refusal: Decision | None = None
        self.refused_until = 0.0
        self.epoch: object = None

    def __repr__(self) -> str:
        return f"<Credential bearer, {len(self.unverified_token)} bytes>"
