"""Either we and h11 read the same response, or we refuse; and the same bytes are the same in any pieces."""

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.agreement import assert_same_response
from tests.fuzz.answers import Answer, answer_read_by_us
from tests.fuzz.budget import examples
from tests.fuzz.bytes_of import pieces_of
from tests.fuzz.responses import METHODS, RESPONSE


@examples(400)
@given(METHODS, RESPONSE)
def test_h11_reads_the_same_response_or_we_refuse(method: str, data: bytes) -> None:
    assert_same_response(method, data)


@examples(250)
@given(METHODS, RESPONSE, st.data(), st.booleans())
def test_a_response_is_the_same_in_any_pieces(
    method: str, data: bytes, draw: st.DataObject, is_closed: bool
) -> None:
    whole = answer_read_by_us(method, data, is_closed=is_closed)
    split = answer_read_by_us(method, *draw.draw(pieces_of(data)), is_closed=is_closed)
    assert_alike(whole, split)


def assert_alike(whole: Answer, split: Answer) -> None:
    """
    Raise `AssertionError` unless both tell the same of the response.

    A response that fails in its body may have been handed on up to there, or not at all: what came in
    one piece with the failure is never sent. What came behind a response closes the connection now or then.
    """
    if whole.end == "failed" or split.end == "failed":
        assert whole.end == split.end
        return
    whole.is_reused = split.is_reused = False
    assert whole == split
