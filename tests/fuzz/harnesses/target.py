"""Request targets: what is accepted is canonical, stays as it is, and has no dot segment in any decoding."""

from unicodedata import normalize
from urllib.parse import unquote_to_bytes

from proxy.errors import RequestError
from proxy.wire.target import parse_target

HOST = b"a.example"
MAX_DECODINGS = 4


def check(data: bytes) -> None:
    """Read `data` as a target, and what comes behind its first line as the Host."""
    claimed_target, _, claimed_host = data.partition(b"\n")
    try:
        seen = parse_target(claimed_target, claimed_host or HOST)
    except RequestError:
        return
    again = parse_target(seen.target, seen.authority)
    assert again == seen, (seen, again)
    path, mark, query = seen.target.partition(b"?")
    assert path.decode("ascii") == seen.path
    assert claimed_target.partition(b"?")[1:] == (mark, query)
    assert all(33 <= octet <= 126 for octet in seen.target)
    assert seen.has_encoded_slash == ("%2F" in seen.path)
    _assert_no_second_reading(path)


def _assert_no_second_reading(path: bytes) -> None:
    assert path.startswith(b"/")
    for _ in range(MAX_DECODINGS):
        for spelling in (path, _folded(path), path.replace(b"\\", b"/"), path.partition(b";")[0]):
            segments = spelling.split(b"/")
            assert b".." not in segments
            assert b"." not in segments
            assert b"" not in segments[1:-1]
        assert not any(octet < 32 or octet == 127 for octet in path)
        path = unquote_to_bytes(path)


def _folded(path: bytes) -> bytes:
    return normalize("NFKC", path.decode("utf-8")).encode("utf-8")
