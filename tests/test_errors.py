import pytest

from proxy import errors
from proxy.errors import (
    AuditError,
    ConfigurationError,
    IssuerError,
    RequestError,
    RolegateError,
    UpstreamError,
)
from proxy.model.decision import Reason


def test_there_are_six_classes() -> None:
    """One more needs the code that catches it."""
    found = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert found == {
        *(RolegateError, ConfigurationError, RequestError, IssuerError, UpstreamError, AuditError),
    }
    assert all(issubclass(kind, RolegateError) for kind in found)


@pytest.mark.parametrize("kind", [RequestError, UpstreamError])
def test_what_ends_a_request_says_with_which_reason(kind: type[RequestError | UpstreamError]) -> None:
    error = kind(Reason.AMBIGUOUS_HOST, "send exactly one Host header")
    assert error.reason is Reason.AMBIGUOUS_HOST
    assert str(error) == "send exactly one Host header"
    assert str(kind(Reason.AMBIGUOUS_HOST)) == "ambiguous-host"


def test_a_request_error_keeps_what_the_client_is_told() -> None:
    assert RequestError(Reason.AMBIGUOUS_HOST).detail == ""
    assert RequestError(Reason.AMBIGUOUS_HOST, "twice").detail == "twice"
