"""What an upstream sends and what our client then reads: one response, of which we wrote each line end."""

from tests.fuzz.relay import assert_one_response

METHODS = ("GET", "HEAD", "POST")
VERSIONS = ("1.1", "1.0")


def check(data: bytes) -> None:
    """Answer with `data` behind its first byte, which chooses the method and the version of the request."""
    if data:
        choice = data[0]
        assert_one_response(METHODS[choice % 3], VERSIONS[choice // 3 % 2], data[1:])
