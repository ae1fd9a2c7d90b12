"""
The exceptions of rolegate, by whose fault it is.

A denial is a `Decision`, not an exception. An exception means that we could not answer; then the
answer is no, and `reason` says which no.
"""

from proxy.model.decision import Reason


class RolegateError(Exception):
    """Anything that rolegate raises on purpose."""


class ConfigurationError(RolegateError):
    """The operator's fault: the configuration cannot be used; the message names place and remedy."""


class RequestError(RolegateError):
    """The client's fault: the request is refused before any policy is asked."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail or reason.value)
        self.reason = reason
        self.detail = detail


class IssuerError(RolegateError):
    """The identity provider's fault: its keys or documents cannot be had or used."""


class UpstreamError(RolegateError):
    """The upstream's fault: it cannot be reached or does not speak HTTP."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail or reason.value)
        self.reason = reason


class AuditError(RolegateError):
    """Our own fault or the disk's: the audit record cannot be written."""
