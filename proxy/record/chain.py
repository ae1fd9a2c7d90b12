"""
The hash chain that makes a change of the audit trail show.

`hash` is the SHA-256 of the record's line with the `hash` member cut out; `prev` is the hash of the
record before. Whoever changes, drops or reorders a line has to rewrite every line after it.
"""

from hashlib import sha256
from typing import Final

import msgspec

from proxy.model.audit import VERSION

GENESIS: Final = "0" * 64
HASH_MEMBER: Final = b',"hash":"'
END: Final = b'"}\n'


class Chain:
    """The end of the chain: the number and the hash of the last record that was kept."""

    __slots__ = ("last_hash", "seq")

    def __init__(self) -> None:
        self.seq = 0
        self.last_hash = GENESIS

    def resume(self, last_line: bytes) -> None:
        """Go on after the line that ends an existing file; raise ValueError if it is not a record of ours."""
        if not last_line:
            return
        check_line(last_line, None)
        record = msgspec.json.decode(last_line, type=LastRecord)
        self.seq, self.last_hash = record.seq, record.hash

    def seal(self, members: list[str]) -> bytes:
        """Return the lines of several records, numbered and chained, and move the end of the chain."""
        seq, prev = self.seq, self.last_hash
        pieces: list[bytes] = []
        for text in members:
            seq += 1
            body = _encoded(f'{{"v":{VERSION},"seq":{seq},{text},"prev":"{prev}"')
            prev = sha256(body + b"}").hexdigest()
            pieces += (body, HASH_MEMBER, prev.encode(), END)
        self.seq, self.last_hash = seq, prev
        return b"".join(pieces)

    def __repr__(self) -> str:
        return f"<Chain seq={self.seq} hash={self.last_hash[:12]}…>"


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # No text holds a lone surrogate; one that did would lose the records of everybody in its batch.
        return text.encode("utf-8", "backslashreplace")


class LastRecord(msgspec.Struct):
    """The two members by which a chain goes on."""

    seq: int
    hash: str


def check_line(line: bytes, prev: str | None) -> str:
    """
    Return the hash of a record's line after checking it, and its link to `prev` where that is known.

    Raises ValueError where the line was changed or does not follow.
    """
    head, found, tail = line.rstrip(b"\n").rpartition(HASH_MEMBER)
    if not found or not tail.endswith(b'"}'):
        raise ValueError("the line has no hash")
    claimed = tail[:-2].decode("ascii", "replace")
    if sha256(head + b"}").hexdigest() != claimed:
        raise ValueError("the line was changed after it was written")
    if prev is not None and not head.endswith(b',"prev":"%b"' % prev.encode()):
        raise ValueError("the line does not follow the one before it")
    return claimed
