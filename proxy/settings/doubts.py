"""Relations between keys that are allowed and rarely meant."""

from collections.abc import Iterator

from proxy.settings.problem import Problem
from proxy.settings.schema import Settings


def doubts(settings: Settings) -> list[Problem]:
    """Return what loads and is probably not meant, each at its place."""
    return list(_limits_met_twice(settings))


def _limits_met_twice(settings: Settings) -> Iterator[Problem]:
    at_the_door = frozenset(settings.listen.rate_limits)
    for at, route in enumerate(settings.routes):
        for position, name in enumerate(route.rate_limits):
            if name in at_the_door:
                path = ("routes", at, "rate_limits", position)
                message = (
                    f"`{name}` is named in `listen.rate_limits` too, so that a request here is counted twice"
                    " against one budget; name it in one place, or define a second limit"
                )
                yield Problem(settings.place(*path), settings.key(*path), message)
