"""Either we and h11 read the same requests, or we refuse; and the same bytes are the same in any pieces."""

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.agreement import assert_same_requests
from tests.fuzz.budget import examples
from tests.fuzz.bytes_of import pieces_of
from tests.fuzz.readings import read_by_us
from tests.fuzz.requests import REQUESTS


@examples(500)
@given(REQUESTS)
def test_h11_reads_the_same_requests_or_we_refuse(data: bytes) -> None:
    assert_same_requests(data)


@examples(300)
@given(REQUESTS, st.data())
def test_requests_are_the_same_in_any_pieces(data: bytes, draw: st.DataObject) -> None:
    pieces = draw.draw(pieces_of(data))
    whole, problem = read_by_us(data)
    split, problem_of_split = read_by_us(*pieces)
    assert (whole, problem and problem[0]) == (split, problem_of_split and problem_of_split[0]), pieces
