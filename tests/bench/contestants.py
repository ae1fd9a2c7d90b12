"""Who is measured, how each is started, and that each decides as the others do."""

import http.client
from collections.abc import Callable, Iterable
from contextlib import ExitStack

from tests.bench.apache import Apache
from tests.bench.credentials import Credentials
from tests.bench.envoy import CachelessEnvoy, Envoy, LoggingEnvoy
from tests.bench.haproxy import HaProxy, LoggingHaProxy
from tests.bench.load import PATH, BenchmarkError
from tests.bench.nginx_proxy import NginxProxy
from tests.bench.peer import Peer
from tests.bench.rolegate import FetchingRolegate, InterpretedRolegate, Rolegate
from tests.bench.upstream import POST_PATH, POSTED_BYTES, SIZES, Upstream
from tests.kit.nginx import API_BODY
from tests.kit.ports import LOOPBACK

Runner = Peer | Rolegate
Factory = Callable[[int, Credentials], Runner]

OURS = "rolegate"
FETCHING = "rolegate, keys fetched"
INTERPRETED = "rolegate, not compiled"
HAPROXY = "HAProxy"
HAPROXY_LOG = "HAProxy, log"
ENVOY = "Envoy"
ENVOY_LOG = "Envoy, log"
ENVOY_COLD = "Envoy, no cache"
APACHE = "Apache"
NGINX = "nginx, no check"
FEW_ROUTES = "10 routes"
MANY_ROUTES = "10,000 routes"

FACTORIES: dict[str, Factory] = {
    OURS: Rolegate,
    FETCHING: FetchingRolegate,
    INTERPRETED: InterpretedRolegate,
    HAPROXY: HaProxy,
    HAPROXY_LOG: LoggingHaProxy,
    ENVOY: Envoy,
    ENVOY_LOG: LoggingEnvoy,
    ENVOY_COLD: CachelessEnvoy,
    APACHE: Apache,
    NGINX: NginxProxy,
    FEW_ROUTES: lambda port, credentials: Rolegate(port, credentials, routes=10, bindings=10),
    MANY_ROUTES: lambda port, credentials: Rolegate(port, credentials, routes=10_000, bindings=1_000),
}


# It is not installed, or it is another version that does not take our configuration.
NOT_STARTED = (FileNotFoundError, ModuleNotFoundError, RuntimeError, TimeoutError)


def start(
    names: Iterable[str], upstream: Upstream, credentials: Credentials, running: ExitStack
) -> tuple[dict[str, Runner], list[str]]:
    """Return the contestants that could be started, and a sentence for each that could not."""
    contestants: dict[str, Runner] = {}
    remarks = []
    for name in names:
        contestant = FACTORIES[name](upstream.port, credentials)
        try:
            running.enter_context(contestant)
        except NOT_STARTED as error:
            if isinstance(contestant, Rolegate):
                raise
            remarks.append(f"{name} is left out: {str(error).splitlines()[0]}.")
            continue
        require_same_work(contestant, credentials)
        contestants[name] = contestant
    return contestants, remarks


def require_same_work(contestant: Runner, credentials: Credentials) -> None:
    """
    Raise unless the good token passes and no other, and what comes back is what the upstream sent.

    What lets everybody in, or answers something shorter, is quick, but no contestant.
    """
    port, good, small = contestant.port, credentials.good, API_BODY.encode()
    require_answer(port, good, {200}, small)
    for name, size in SIZES.items():
        require_answer(port, good, {200}, content(size), path=f"/api/{name}")
    require_answer(port, good, {200}, small, path=POST_PATH, posted=bytes(POSTED_BYTES))
    if contestant.checks:
        require_answer(port, None, {401})
        require_answer(port, credentials.forged, {401, 403})
        require_answer(port, credentials.expired, {401, 403})
        require_answer(port, credentials.unauthorized, {401, 403})


def require_answer(
    port: int,
    token: str | None,
    statuses: set[int],
    body: bytes | None = None,
    *,
    path: str = PATH,
    posted: bytes | None = None,
) -> None:
    """Raise unless a request with this token is answered with one of the statuses, and with this body."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request("GET" if posted is None else "POST", path, posted, headers)
        response = connection.getresponse()
        answered = response.read()
    finally:
        connection.close()
    if response.status not in statuses:
        raise BenchmarkError(f"port {port} answers {path} with {response.status}, not {sorted(statuses)}")
    if body is not None and answered != body:
        raise BenchmarkError(f"port {port} answers {path} with {len(answered)} bytes, not {len(body)}")


def content(size: int) -> bytes:
    """Return what the kit writes into a file of that size."""
    period = bytes(range(251))
    return (period * (size // len(period) + 1))[:size]
