import pytest

from proxy.forward.refusing import tell_end
from proxy.model.decision import Reason
from tests.forward.test_pool import Receiving


class Faulty(Receiving):
    def response_end(self) -> None:
        raise ZeroDivisionError


def test_who_cannot_end_is_told_that_it_failed(caplog: pytest.LogCaptureFixture) -> None:
    good, faulty = Receiving(), Faulty()
    assert [tell_end(good), tell_end(faulty)] == [True, False]
    assert (good.has_ended, good.failure, faulty.failure) == (True, None, Reason.INTERNAL_ERROR)
    assert "ZeroDivisionError" in caplog.text
