import re

from proxy.ids import BLOCK_BYTES, RequestIds


def test_ids_are_hex_of_the_lengths_that_trace_context_asks_for() -> None:
    request_id, span_id = RequestIds().next()
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    assert re.fullmatch("[0-9a-f]{16}", span_id)


def test_no_piece_of_randomness_is_given_out_twice() -> None:
    """Ids of one block follow each other, and the next block begins whole."""
    ids = RequestIds()
    pairs = [ids.next() for _ in range(3 * BLOCK_BYTES // 24 + 1)]
    assert {(len(one), len(other)) for one, other in pairs} == {(32, 16)}
    assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == len(pairs)
    assert not {one[:16] for one, _ in pairs} & {other for _, other in pairs}


def test_two_sources_do_not_agree() -> None:
    assert RequestIds().next() != RequestIds().next()
