"""
A decision is a value with a reason.

`Reason` is the one vocabulary of why: the same word is the metric label, the audit field and the
problem `type` that the client sees.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a request went the way it went, in kebab-case."""

    # The answer is yes.
    ALLOWED = "allowed"
    PUBLIC = "public"

    # The identity is known, the policy says no.
    NO_ROUTE = "no-route"
    NO_RULE_MATCHED = "no-rule-matched"
    DENIED_BY_RULE = "denied-by-rule"
    CLAIM_MISSING = "claim-missing"

    # Policy allows it, a limit does not.
    RATE_LIMITED = "rate-limited"
    OVERLOADED = "overloaded"

    # The credential is missing or not good.
    CREDENTIAL_MISSING = "credential-missing"
    CREDENTIAL_MALFORMED = "credential-malformed"
    SEVERAL_CREDENTIALS = "several-credentials"
    SCHEME_UNSUPPORTED = "scheme-unsupported"
    TOKEN_TOO_LARGE = "token-too-large"  # noqa: S105 - a reason, not a password
    TOKEN_MALFORMED = "token-malformed"  # noqa: S105 - a reason, not a password
    TOKEN_ENCRYPTED = "token-encrypted"  # noqa: S105 - a reason, not a password
    ALGORITHM_REFUSED = "algorithm-refused"
    TYPE_REFUSED = "type-refused"
    CRITICAL_HEADER = "critical-header"
    ISSUER_UNKNOWN = "issuer-unknown"
    KEY_UNKNOWN = "key-unknown"
    SIGNATURE_INVALID = "signature-invalid"
    CLAIMS_MALFORMED = "claims-malformed"
    TOKEN_EXPIRED = "token-expired"  # noqa: S105 - a reason, not a password
    TOKEN_NOT_YET_VALID = "token-not-yet-valid"  # noqa: S105 - a reason, not a password
    LIFETIME_EXCEEDED = "lifetime-exceeded"
    AUDIENCE_MISMATCH = "audience-mismatch"
    TOKEN_BOUND = "token-bound"  # noqa: S105 - a reason, not a password
    PROFILE_REFUSED = "profile-refused"

    # The request could be read in two ways, or is larger than we accept.
    MALFORMED_REQUEST = "malformed-request"
    VERSION_UNSUPPORTED = "version-unsupported"
    METHOD_REFUSED = "method-refused"
    AMBIGUOUS_FRAMING = "ambiguous-framing"
    AMBIGUOUS_HOST = "ambiguous-host"
    AMBIGUOUS_PATH = "ambiguous-path"
    TARGET_TOO_LONG = "target-too-long"
    HEADERS_TOO_LARGE = "headers-too-large"
    BODY_TOO_LARGE = "body-too-large"
    REQUEST_TIMEOUT = "request-timeout"

    # We could not answer, so the answer is no.
    KEYS_UNAVAILABLE = "keys-unavailable"
    AUDIT_UNAVAILABLE = "audit-unavailable"
    SHUTTING_DOWN = "shutting-down"
    INTERNAL_ERROR = "internal-error"

    # The request was forwarded and did not end well.
    UPSTREAM_UNREACHABLE = "upstream-unreachable"
    UPSTREAM_OVERLOADED = "upstream-overloaded"
    UPSTREAM_TIMEOUT = "upstream-timeout"
    UPSTREAM_RESET = "upstream-reset"
    UPSTREAM_MALFORMED = "upstream-malformed"
    CLIENT_GONE = "client-gone"
    STREAM_IDLE = "stream-idle"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Decision:
    """
    The answer to one request: allowed or not, why, and by which rule.

    Built when policy compiles, never per request. `rule` names the rule that decided
    (`deployments.allow[0]`), None where no rule was reached.
    """

    allowed: bool
    reason: Reason
    rule: str | None = None

    def __bool__(self) -> bool:
        # `if decision:` reads as "is allowed" and would be true for every denial.
        raise TypeError("a decision has no truth value; write `decision.allowed`")


DENIALS: Final[dict[Reason, Decision]] = {reason: Decision(allowed=False, reason=reason) for reason in Reason}
"""The denial without a rule for each reason, prebuilt."""
