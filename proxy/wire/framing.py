"""
How long a message is, where RFC 9112 section 6 leaves room for two opinions.

Law: what this module and llhttp do not both read as one framing is refused. llhttp refuses
Content-Length with Transfer-Encoding, repeated lengths, bare line ends and bad chunk sizes; it does
not refuse what stands here.
"""

from enum import IntEnum
from typing import Final

from proxy.errors import RequestError
from proxy.model.decision import Reason
from proxy.wire.headers import SortedHeaders

VERSIONS: Final = frozenset({"1.0", "1.1"})


class Framing(IntEnum):
    """How the end of a body is found."""

    NONE = 0
    LENGTH = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3


def request_framing(version: str, found: SortedHeaders) -> Framing:
    """Return how the request's body is framed, or raise `RequestError` where that is not plain."""
    if version not in VERSIONS:
        raise RequestError(Reason.VERSION_UNSUPPORTED, "send HTTP/1.1 or HTTP/1.0")
    if found.expects and found.expects != [b"100-continue"]:
        raise RequestError(Reason.MALFORMED_REQUEST, "the only Expect here is `100-continue`")
    if found.transfer_encodings:
        if version == "1.0":
            # A 1.0 recipient ignores Transfer-Encoding and would read the body as the next request.
            raise RequestError(Reason.AMBIGUOUS_FRAMING, "HTTP/1.0 has no Transfer-Encoding")
        if found.transfer_encodings != [b"chunked"]:
            raise RequestError(Reason.AMBIGUOUS_FRAMING, "the only Transfer-Encoding here is `chunked`")
        if found.content_length is not None:
            raise RequestError(Reason.AMBIGUOUS_FRAMING, "send either a Content-Length or chunks")
        return Framing.CHUNKED
    return Framing.LENGTH if found.content_length else Framing.NONE


def response_framing(
    method: str, status: int, transfer_encodings: list[bytes], content_length: int | None
) -> Framing | None:
    """Return how the response's body is framed (RFC 9112 section 6.3), or None where that is not plain."""
    if transfer_encodings and (transfer_encodings != [b"chunked"] or content_length is not None):
        # Where no body can follow, too: who announces one like this may send one all the same.
        return None
    if method == "HEAD" or status in {204, 304} or status < 200:
        return Framing.NONE
    if transfer_encodings:
        return Framing.CHUNKED
    if content_length is not None:
        return Framing.LENGTH if content_length else Framing.NONE
    return Framing.UNTIL_CLOSE


def chunk(data: bytes) -> bytes:
    """Return `data` (never empty) as one chunk (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"
