import httptools
import pytest

from proxy.errors import RequestError
from proxy.model.decision import Reason
from proxy.wire.framing import (
    Framing,
    chunk,
    request_framing,
    response_framing,
)
from proxy.wire.headers import SortedHeaders

CONTINUE = [b"100-continue"]
CHUNKED = [b"chunked"]


def found(transfer_encodings: list[bytes], content_length: int | None, expects: list[bytes]) -> SortedHeaders:
    headers = SortedHeaders()
    headers.transfer_encodings = transfer_encodings
    headers.content_length = content_length
    headers.expects = expects
    return headers


@pytest.mark.parametrize(
    ("version", "transfer_encodings", "content_length", "expects", "framing"),
    [
        ("1.1", [], None, [], Framing.NONE),
        ("1.1", [], 0, [], Framing.NONE),
        ("1.1", [], 1, [], Framing.LENGTH),
        ("1.1", [], 2**64 - 1, CONTINUE, Framing.LENGTH),
        ("1.1", CHUNKED, None, [], Framing.CHUNKED),
        ("1.1", CHUNKED, None, CONTINUE, Framing.CHUNKED),
        ("1.1", [], None, CONTINUE, Framing.NONE),
        ("1.0", [], None, [], Framing.NONE),
        ("1.0", [], 5, [], Framing.LENGTH),
        ("1.0", [], 5, CONTINUE, Framing.LENGTH),
    ],
)
def test_a_plain_request_has_one_framing(
    version: str,
    transfer_encodings: list[bytes],
    content_length: int | None,
    expects: list[bytes],
    framing: Framing,
) -> None:
    assert request_framing(version, found(transfer_encodings, content_length, expects)) is framing


@pytest.mark.parametrize(
    ("version", "transfer_encodings", "content_length", "expects", "reason"),
    [
        ("2.0", [], None, [], Reason.VERSION_UNSUPPORTED),
        ("0.9", [], None, [], Reason.VERSION_UNSUPPORTED),
        ("1.2", [], None, [], Reason.VERSION_UNSUPPORTED),
        ("11", [], None, [], Reason.VERSION_UNSUPPORTED),
        ("", [], None, [], Reason.VERSION_UNSUPPORTED),
        ("1.0", CHUNKED, None, [], Reason.AMBIGUOUS_FRAMING),
        ("1.1", [b"gzip, chunked"], None, [], Reason.AMBIGUOUS_FRAMING),
        ("1.1", [b"chunked, gzip"], None, [], Reason.AMBIGUOUS_FRAMING),
        ("1.1", [b"gzip"], None, [], Reason.AMBIGUOUS_FRAMING),
        ("1.1", [b"identity"], None, [], Reason.AMBIGUOUS_FRAMING),
        ("1.1", [b""], None, [], Reason.AMBIGUOUS_FRAMING),
        ("1.1", [b"chunked;q=1"], None, [], Reason.AMBIGUOUS_FRAMING),
        ("1.1", [b"\x0bchunked"], None, [], Reason.AMBIGUOUS_FRAMING),
        ("1.1", [b"chunked", b"chunked"], None, [], Reason.AMBIGUOUS_FRAMING),
        ("1.1", [b"chunked", b"identity"], None, [], Reason.AMBIGUOUS_FRAMING),
        ("1.1", CHUNKED, 5, [], Reason.AMBIGUOUS_FRAMING),
        ("1.1", CHUNKED, 0, [], Reason.AMBIGUOUS_FRAMING),
        ("1.1", [], 5, [b"200-ok"], Reason.MALFORMED_REQUEST),
        ("1.1", [], None, [b""], Reason.MALFORMED_REQUEST),
        ("1.1", [], 5, [b"100-continue", b"100-continue"], Reason.MALFORMED_REQUEST),
        ("1.1", CHUNKED, None, [b"something-else"], Reason.MALFORMED_REQUEST),
        ("1.0", [], 5, [b"something-else"], Reason.MALFORMED_REQUEST),
    ],
)
def test_a_request_with_two_readings_is_refused(
    version: str,
    transfer_encodings: list[bytes],
    content_length: int | None,
    expects: list[bytes],
    reason: Reason,
) -> None:
    with pytest.raises(RequestError) as caught:
        request_framing(version, found(transfer_encodings, content_length, expects))
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("method", "status", "transfer_encodings", "content_length", "framing"),
    [
        ("GET", 200, [], 5, Framing.LENGTH),
        ("GET", 200, [], 0, Framing.NONE),
        ("GET", 200, CHUNKED, None, Framing.CHUNKED),
        ("GET", 200, [], None, Framing.UNTIL_CLOSE),
        ("GET", 404, [], None, Framing.UNTIL_CLOSE),
        ("HEAD", 200, [], 5, Framing.NONE),
        ("HEAD", 200, CHUNKED, None, Framing.NONE),
        ("HEAD", 200, [b"gzip"], None, None),
        ("HEAD", 200, CHUNKED, 5, None),
        ("GET", 304, [b"gzip, chunked"], None, None),
        ("GET", 204, [b"chunked", b"chunked"], None, None),
        ("GET", 204, [], 5, Framing.NONE),
        ("GET", 304, CHUNKED, None, Framing.NONE),
        ("GET", 304, [], 5, Framing.NONE),
        ("GET", 100, [], None, Framing.NONE),
        ("GET", 103, [], None, Framing.NONE),
        ("POST", 205, [], None, Framing.UNTIL_CLOSE),
        ("GET", 200, [b"gzip, chunked"], None, None),
        ("GET", 200, [b"gzip"], None, None),
        ("GET", 200, [b"chunked", b"chunked"], None, None),
        ("GET", 200, [b""], None, None),
        ("GET", 200, CHUNKED, 5, None),
    ],
)
def test_a_response_has_one_framing_or_none_that_we_pass_on(
    method: str,
    status: int,
    transfer_encodings: list[bytes],
    content_length: int | None,
    framing: Framing | None,
) -> None:
    assert response_framing(method, status, transfer_encodings, content_length) is framing


@pytest.mark.parametrize("size", [1, 15, 16, 255, 65536])
def test_a_chunk_is_read_back_by_the_parser(size: int) -> None:
    class Body:
        def __init__(self) -> None:
            self.data = b""

        def on_body(self, data: bytes) -> None:
            self.data += data

    body = Body()
    parser = httptools.HttpRequestParser(body)
    parser.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * size))
    assert body.data == b"x" * size
