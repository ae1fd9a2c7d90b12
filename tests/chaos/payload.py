"""
Bytes that say to whom they belong: everything that passes repeats the name of its request.

A name is made up by the client and goes up as the last segment of the path. What comes down repeats the
name and the subject that the upstream was told. `X-Units` says how often, so that a part of a message
cannot pass for the whole.
"""

import re

REQUEST_ID = re.compile(rb"\r\nX-Rolegate-Request-Id: ([0-9a-f]{32})\r\n")
SUBJECT = re.compile(rb"\r\nX-Rolegate-Subject: ([^\r]*)\r\n")
UNITS = re.compile(rb"\r\nx-units: ([0-9]+)\r\n", re.IGNORECASE)
NOBODY = "-"


def unit_up(name: str) -> bytes:
    """Return what the body of a request repeats."""
    return b"%b;" % name.encode()


def unit_down(name: str, subject: str) -> bytes:
    """Return what the body of a response repeats."""
    return b"%b!%b;" % (name.encode(), subject.encode())


def is_part(data: bytes, unit: bytes) -> bool:
    """Say whether `data` begins as endless repetitions of `unit` do."""
    return (unit * (len(data) // len(unit) + 1)).startswith(data)


def name_in(sent: bytes) -> str:
    """Return the name that a request carries in its target."""
    return sent.split(b" ", 2)[1].rpartition(b"/")[2].decode()


def subject_in(head: bytes) -> str:
    """Return the subject that the proxy told the upstream."""
    found = SUBJECT.search(head)
    return NOBODY if found is None else found[1].decode()


def units_in(head: bytes) -> int:
    """Return how many repetitions the head announces."""
    found = UNITS.search(head)
    return 0 if found is None else int(found[1])


def unchunked(body: bytes) -> bytes:
    """Return what is in the chunks of a whole message."""
    out, at = b"", 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end], 16)
        if size == 0:
            return out
        out += body[end + 2 : end + 2 + size]
        at = end + 2 + size + 2
