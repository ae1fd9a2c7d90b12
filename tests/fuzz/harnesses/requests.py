"""All that comes on one client connection: h11 reads the same requests, or we refuse."""

from tests.fuzz.agreement import assert_same_requests


def check(data: bytes) -> None:
    """Read `data` as a connection."""
    assert_same_requests(data)
