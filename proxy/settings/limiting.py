"""The keys that limit how much and how fast."""

from typing import Literal

from pydantic import Field

from proxy.settings.quantities import Duration, TransferSize, Window
from proxy.settings.rates import Rate
from proxy.settings.section import Section, setting
from proxy.settings.syntax import Count, Name


class MinRates(Section):
    """How slow a client may be; slower ones are ended. No limits by default."""

    request_body: TransferSize | None = setting(
        None, "Bytes a second in which a request body has to come, over each `window`."
    )
    response: TransferSize | None = setting(
        None, "Bytes a second in which a response that waits has to be taken, over each `window`."
    )
    window: Window = setting("10s", "Time over which a rate is measured.")


class RateLimit(Section):
    """How many requests somebody may send; a route names the limits that hold there."""

    per: Literal["identity", "role", "route", "client"] = Field(
        description="Who has a budget: each identity, each role (shared by all who have it), each route, or "
        "each client address (IPv6 by /64)."
    )
    rate: Rate = Field(description="Requests in a time, such as `100/1m` or `5/s`; more get 429.")
    burst: Count | None = setting(
        None, "How many of them may come at once; as many as `rate` says if left out."
    )
    roles: tuple[Name, ...] = setting(
        (),
        "Roles it is about: others are not limited, and per role only these have a budget. "
        "If left out everybody is limited, and per role those have a budget that the route allows.",
        min_length=1,
    )


class RateLimitTable(Section):
    """What was used of rate limits, in memory of a fixed size."""

    max_entries: Count = setting(
        65_536, "Budgets remembered at a time, 16 bytes each; with more callers than that, some share one."
    )


class TokenFailures(Section):
    """Tokens that were refused, remembered for a moment, apart from the verified ones."""

    max_entries: Count = setting(10_000, "Refused tokens remembered at a time.")
    ttl: Duration = setting("10s", "How long a refused token is refused without looking at it again.")
