import re

import pytest

from proxy.model.decision import DENIALS, Decision, Reason


def test_a_decision_has_no_truth_value() -> None:
    for decision in (Decision(True, Reason.ALLOWED), Decision(False, Reason.NO_ROUTE)):
        with pytest.raises(TypeError, match=r"write `decision\.allowed`"):
            bool(decision)


def test_every_reason_has_a_denial_that_allows_nothing() -> None:
    assert set(DENIALS) == set(Reason)
    for reason, denial in DENIALS.items():
        assert (denial.allowed, denial.reason, denial.rule) == (False, reason, None)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_kebab_case(reason: Reason) -> None:
    """It is a metric label, an audit field and a part of a URL, and needs no escaping in any."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.value)
    assert reason.name == reason.value.upper().replace("-", "_")


def test_a_decision_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Decision(False, Reason.NO_ROUTE).allowed = True  # type: ignore[misc]  # that it fails is the point
