"""The configuration of chaos: short deadlines, low limits, several endpoints, one route for each trouble."""

from collections.abc import Sequence

from tests.chaos.upstream import HEALTH_PATH, ChaoticUpstream
from tests.kit.certificates import Authority
from tests.kit.local_proxy import HOST
from tests.kit.ports import LOOPBACK

TIMEOUTS = {"body_idle": "300ms", "headers": "300ms", "keep_alive": "300ms", "write_idle": "400ms"}
CALLERS = [{"roles": ["caller"]}]


def listen(authority: Authority, *, plain_port: int = 0, tls_port: int = 0) -> dict[str, object]:
    """Return a plain door and one with TLS."""
    return {
        "sockets": [
            {"address": f"{LOOPBACK}:{plain_port}"},
            {
                "address": f"{LOOPBACK}:{tls_port}",
                "tls": {"certificates": [authority.server(HOST).files]},
                "handshake_timeout": "1s",
            },
        ],
        "max_connections": 24,
        "timeouts": TIMEOUTS,
    }


def upstreams(endpoints: Sequence[ChaoticUpstream]) -> dict[str, object]:
    """Return one upstream of several endpoints, and one of the first of them alone."""
    limits = {
        "max_connections": 6,
        "max_waiting": 6,
        "timeouts": {
            "connect": "500ms",
            "response": "400ms",
            "body_idle": "300ms",
            "keep_alive": "300ms",
        },
    }
    several = {
        "urls": [endpoint.url for endpoint in endpoints],
        "balance": "least-outstanding",
        "health": {"path": HEALTH_PATH, "interval": "100ms", "timeout": "200ms", "unhealthy_after": 1},
        "ejection": {"after": 3, "time": "200ms", "max_time": "1s"},
        **limits,
    }
    return {"api": several, "single": {"url": endpoints[0].url, **limits}}


RATE_LIMITS = {"per-caller": {"per": "identity", "rate": "5/1s", "burst": 3}}


def routes() -> list[dict[str, object]]:
    """Return one route for each kind of request."""
    return [
        route("api", "/**"),
        route("limited", "/limited/**", rate_limits=["per-caller"]),
        route("narrow", "/narrow/**", upstream="single", max_in_flight=2),
        route("small", "/small/**", upstream="single", max_body=1000),
        route("ws", "/ws/**", upgrade=["websocket"], timeouts={"idle": "400ms"}),
        route("forbidden", "/forbidden/**", allow=[{"roles": ["nobody"]}]),
        {"name": "public", "match": {"paths": ["/public/**"]}, "upstream": "single", "public": True},
    ]


def route(name: str, path: str, **more: object) -> dict[str, object]:
    """Return a route of callers."""
    return {"name": name, "match": {"paths": [path]}, "upstream": "api", "allow": CALLERS, **more}


ROLES = {
    "caller": {"bindings": [{"issuer": "idp", "claims": {"team": "a"}}]},
    "nobody": {"bindings": [{"issuer": "idp", "claims": {"team": "nobody"}}]},
}
