"""All that comes on one upstream connection: h11 reads the same response, or we refuse."""

from tests.fuzz.agreement import assert_same_response

METHODS = ("GET", "HEAD", "POST")


def check(data: bytes) -> None:
    """Read `data` behind its first byte, which chooses the method of the request."""
    if data:
        assert_same_response(METHODS[data[0] % len(METHODS)], data[1:])
