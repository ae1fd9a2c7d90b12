"""Requests in pieces: the same as in one, never an exception, and never more memory than the limits allow."""

from proxy.accept.reading import SLACK_BYTES
from proxy.model.decision import Reason
from tests.fuzz.readings import SMALL_LIMITS, Notes, read_by_us, reader_for

REASONS = {
    Reason.MALFORMED_REQUEST,
    Reason.AMBIGUOUS_FRAMING,
    Reason.TARGET_TOO_LONG,
    Reason.HEADERS_TOO_LARGE,
}


def check(data: bytes) -> None:
    """Read `data` behind its first byte, which says how long the pieces are, whole and in pieces."""
    if not data:
        return
    size, data = data[0] % 16 + 1, data[1:]
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    notes = Notes()
    reader = reader_for(notes, SMALL_LIMITS)
    for piece in pieces:
        problem = reader.feed(piece)
        # What is kept of a head is what its limits allow; a body is never kept.
        allowed = SMALL_LIMITS.max_header_bytes + SMALL_LIMITS.max_target_bytes + SLACK_BYTES + size
        assert len(reader._received) <= allowed
        assert len(reader.target) <= SMALL_LIMITS.max_target_bytes + size
        if problem is not None:
            assert problem[0] in REASONS
            break
    else:
        _assert_same_as_whole(data, notes)


def _assert_same_as_whole(data: bytes, notes: Notes) -> None:
    whole, problem = read_by_us(data)
    assert problem is None
    assert whole == notes.messages
