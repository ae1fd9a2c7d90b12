"""What a client presented, before anybody believed it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """
    A bearer token as presented: unverified, and never printed.

    `unverified_token` holds the bytes behind `Bearer `, already limited to the token68 alphabet.
    """

    unverified_token: bytes

    def __repr__(self) -> str:
        return f"<Credential bearer, {len(self.unverified_token)} bytes>"
