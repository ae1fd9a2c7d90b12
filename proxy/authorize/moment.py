"""Moments in messages: epoch seconds as RFC 3339 in UTC."""

from datetime import UTC, datetime


def rfc3339(epoch_s: float) -> str:
    """Return the moment as `2027-01-31T18:00:00Z`; one that no calendar holds as its seconds."""
    try:
        moment = datetime.fromtimestamp(epoch_s, UTC)
    except (OverflowError, ValueError, OSError):
        return f"second {epoch_s:.0f}"
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
