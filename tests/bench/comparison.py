"""
rolegate and its peers, side by side.

Rounds are interleaved: what disturbs the machine for a while disturbs everybody. Contestants are compared
within a round, and the samples are all kept: how far they lie apart says how much a difference means.
"""

from contextlib import ExitStack

from tests.bench.credentials import Credentials
from tests.bench.envoy import Envoy
from tests.bench.haproxy import HaProxy
from tests.bench.load import Sample, measure, require_status
from tests.bench.peer import Peer
from tests.bench.rolegate import Rolegate
from tests.kit.nginx import Nginx

UPSTREAM = "nginx, no proxy"

Runner = Nginx | Peer | Rolegate
Samples = dict[str, list[Sample]]
"""By contestant, one sample per round."""


def compare(upstream: Nginx, credentials: Credentials, *, rounds: int, seconds: float) -> Samples:
    """Return the samples of each contestant, the bare upstream included."""
    with ExitStack() as running:
        contestants: dict[str, Runner] = {
            "rolegate": running.enter_context(Rolegate(upstream.port, credentials)),
            "haproxy": running.enter_context(HaProxy(upstream.port, credentials)),
            "envoy": running.enter_context(Envoy(upstream.port, credentials)),
        }
        for contestant in contestants.values():
            require_same_decisions(contestant.port, credentials)
        return interleave({**contestants, UPSTREAM: upstream}, upstream, credentials.good, rounds, seconds)


def require_same_decisions(port: int, credentials: Credentials) -> None:
    """Raise unless the good token passes and no other: what lets everybody in is quick, but no contestant."""
    require_status(port, credentials.good, {200})
    require_status(port, None, {401})
    require_status(port, credentials.forged, {401, 403})
    require_status(port, credentials.unauthorized, {403})


def interleave(
    contestants: dict[str, Runner], upstream: Nginx, token: str, rounds: int, seconds: float
) -> Samples:
    """Measure each contestant once per round, after a second of warming up."""
    samples: Samples = {name: [] for name in contestants}
    for contestant in contestants.values():
        measure(contestant, contestant.port, upstream, token, 1)
    for _ in range(rounds):
        for name, contestant in contestants.items():
            samples[name].append(measure(contestant, contestant.port, upstream, token, seconds))
    return samples
