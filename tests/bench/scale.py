"""What many routes and bindings cost: a request should not notice them."""

from contextlib import ExitStack

from tests.bench.comparison import Runner, Samples, interleave
from tests.bench.credentials import Credentials
from tests.bench.rolegate import Rolegate
from tests.kit.nginx import Nginx

# Routes and bindings.
SIZES = ((10, 10), (10_000, 1_000))


def compare_sizes(upstream: Nginx, credentials: Credentials, *, rounds: int, seconds: float) -> Samples:
    """Return the samples of rolegate with few routes and with many."""
    with ExitStack() as running:
        proxies: dict[str, Runner] = {
            f"{routes:,} routes, {bindings:,} bindings": running.enter_context(
                Rolegate(upstream.port, credentials, routes=routes, bindings=bindings)
            )
            for routes, bindings in SIZES
        }
        return interleave(proxies, upstream, credentials.good, rounds, seconds)
