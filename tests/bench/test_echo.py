"""The frames of the WebSocket benchmark."""

from tests.bench.echo import ECHOED_BYTES, PAYLOAD, TO_CALLER, TO_SERVER, accept_of, echoed


def test_accept_is_that_of_the_specification() -> None:
    """RFC 6455 section 1.3."""
    assert accept_of("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_whole_frames_are_echoed_and_parts_are_kept() -> None:
    one, other = TO_SERVER + b"a" * PAYLOAD, TO_SERVER + b"b" * PAYLOAD
    answer, rest = echoed(one + other + other[:7])
    assert answer == TO_CALLER + b"a" * PAYLOAD + TO_CALLER + b"b" * PAYLOAD
    assert len(answer) == 2 * ECHOED_BYTES
    assert rest == other[:7]
    assert echoed(rest) == (b"", rest)
