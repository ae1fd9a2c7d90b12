"""To which certificate a token is bound, if to one and to nothing else."""

import pytest

from proxy.identify.binding import certificate_of

# Forty-three characters hold 258 bits; the last two have to be zero, or there were four spellings.
CANONICAL = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"


def test_the_thumbprint_is_returned_as_it_is_written() -> None:
    assert certificate_of({"cnf": {"x5t#S256": CANONICAL}}) == CANONICAL


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"cnf": None},
        {"cnf": CANONICAL},
        {"cnf": [CANONICAL]},
        {"cnf": {}},
        {"cnf": {"x5t#S256": None}},
        {"cnf": {"x5t#S256": 5}},
        {"cnf": {"x5t#S256": [CANONICAL]}},
        {"cnf": {"x5t#S256": ""}},
        {"cnf": {"x5t#S256": CANONICAL[:-1]}},
        {"cnf": {"x5t#S256": CANONICAL + "A"}},
        {"cnf": {"x5t#S256": CANONICAL + "="}},
        {"cnf": {"x5t#S256": CANONICAL[:-1] + "1"}},
        {"cnf": {"x5t#S256": CANONICAL[:-1] + "é"}},
        {"cnf": {"x5t#S256": CANONICAL[:-1] + " "}},
        {"cnf": {"x5t#s256": CANONICAL}},
        {"cnf": {"x5t": CANONICAL}},
        {"cnf": {"x5t#S256": CANONICAL, "jkt": "a"}},
        {"cnf": {"x5t#S256": CANONICAL, "unknown": 1}},
        {"x5t#S256": CANONICAL},
    ],
)
def test_everything_else_is_no_certificate(claims: dict[str, object]) -> None:
    assert certificate_of(claims) is None
