"""The keys of upstreams, and those with which a route changes how its upstream is asked."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from proxy.model.upstream import Endpoint
from proxy.settings.expectation import Kind, expected
from proxy.settings.origins import DeniedNetwork, HealthPath, Prefix, UpstreamUrl, endpoint_of
from proxy.settings.quantities import Duration
from proxy.settings.section import Section, section, setting
from proxy.settings.syntax import ConfigFile, Count, Flag, Word

BalanceName = Literal["round-robin", "least-outstanding", "consistent-hash"]
"""The ways to spread requests over endpoints."""

TlsVersion = Literal["1.2", "1.3"]
"""The versions of TLS that may be the least accepted."""


def _up_to(most: int, *, least: int = 0) -> AfterValidator:
    def check(value: int) -> int:
        if not least <= value <= most:
            raise expected(f"a number from {least} to {most}")
        return value

    return AfterValidator(check)


Percent = Annotated[int, Field(strict=True), _up_to(100), Kind("number")]
"""A share of a whole."""

Attempts = Annotated[int, Field(strict=True), _up_to(10), Kind("number")]
"""How often something is tried again; zero for never."""

Status = Annotated[int, Field(strict=True), _up_to(599, least=200), Kind("status")]
"""The status of a final response."""


class UpstreamTimeouts(Section):
    """How long an upstream may take."""

    connect: Duration = setting("5s", "For a connection to be made.")
    wait: Duration | None = setting(
        None, "For a request to wait for a connection; as long as `connect` if left out."
    )
    response: Duration = setting("60s", "For the head of the response to arrive.")
    body_idle: Duration = setting("60s", "Between two pieces of the response body.")
    keep_alive: Duration = setting("30s", "Before an idle connection is closed.")


class RouteTimeouts(Section):
    """How long the upstream may take on one route; what is left out is as the upstream has it."""

    response: Duration | None = setting(None, "For the head of the response to arrive.")
    body_idle: Duration | None = setting(None, "Between two pieces of the response body.")
    idle: Duration = setting("5m", "Without a byte in either direction on an upgraded connection.")


class Rewrite(Section):
    """The path prefix that is exchanged on the way upstream."""

    strip_prefix: Prefix | None = setting(
        None, "Segments taken off the front; every path of the route has to begin with them."
    )
    add_prefix: Prefix | None = setting(None, "Segments put before what is left.")


class Health(Section):
    """How endpoints are asked whether they are well."""

    path: HealthPath = Field(description="Path that is asked for with GET.")
    host: Word | None = setting(None, "Host header of the question; the endpoint's own address if left out.")
    interval: Duration = setting("10s", "From one question to the next; each worker process asks.")
    timeout: Duration = setting("2s", "For the answer to arrive.")
    healthy_after: Count = setting(2, "Good answers in a row that bring an endpoint back.")
    unhealthy_after: Count = setting(3, "Bad answers in a row that take an endpoint away.")
    statuses: tuple[Status, ...] = setting(
        (), "Statuses of a good answer; any 2xx if left out.", min_length=1
    )


class Ejection(Section):
    """When an endpoint that fails requests is left alone; only where there are several."""

    after: Count = setting(5, "Failures in a row: no connection, a reset, a timeout, no HTTP.")
    server_errors: Flag = setting(False, "Whether a response with a 5xx status is a failure.")
    time: Duration = setting("10s", "How long at first; it doubles each time the endpoint fails again.")
    max_time: Duration = setting("5m", "How long at most.")
    max_percent: Percent = setting(50, "Share of the endpoints that may be away at a time; one always may.")


class Retries(Section):
    """
    How often a request that failed is sent again, to another endpoint.

    That happens to any request of which nothing was sent, and to one with an idempotent method, of
    which at most 64 KiB of body were sent, before any of a response came.
    """

    attempts: Attempts = setting(2, "Further attempts for one request.")
    budget_percent: Percent = setting(20, "Share of all requests that may be sent again.")
    reserve: Count = setting(100, "Retries at once before the share counts.")


class Dns(Section):
    """How names of endpoints are resolved."""

    refresh: Duration = setting("30s", "Age at which addresses are looked up again; old ones last till then.")
    deny_networks: tuple[DeniedNetwork, ...] = setting(
        (),
        "Networks that are never connected to, whatever a name resolves to, beside metadata services.",
        min_length=1,
    )
    unsafe_allow_metadata: Flag = setting(
        False, "Connect to link-local and metadata addresses too, where clouds hand out credentials."
    )


class UpstreamTls(Section):
    """How an `https://` upstream proves who it is, and how rolegate does; both are always verified."""

    ca_file: ConfigFile | None = setting(
        None, "Certificates that may vouch for the upstream, relative to the folder of the configuration."
    )
    server_name: Word | None = setting(
        None, "Name that the certificate is for, sent as SNI; the host of the URL if left out."
    )
    certificate_file: ConfigFile | None = setting(None, "Certificate chain that rolegate shows, in PEM.")
    key_file: ConfigFile | None = setting(None, "Its private key, in PEM, not encrypted.")
    minimum_version: TlsVersion = setting("1.2", "Oldest version of TLS that is spoken.")


class Upstream(Section):
    """A service behind rolegate."""

    url: UpstreamUrl | None = setting(
        None, "Where it listens: `http://host:port`, `https://host:port` or `unix:/path`, without a path."
    )
    urls: tuple[UpstreamUrl, ...] = setting(
        (), "Where it listens, if in several places; instead of `url`.", min_length=1
    )
    balance: BalanceName = setting(
        "round-robin",
        "How requests are spread: in turn, to where the least is going on, or by identity (by client address "
        "if there is none).",
    )
    max_connections: Count = setting(
        256, "Connections open at a time, to each endpoint, of all workers together."
    )
    max_waiting: Count = setting(
        1024, "Requests that may wait for a connection, to each endpoint; more get 503."
    )
    timeouts: UpstreamTimeouts = section(UpstreamTimeouts, "How long it may take.")
    health: Health | None = setting(
        None, "How endpoints are asked whether they are well; not at all if left out."
    )
    ejection: Ejection = section(Ejection, "When an endpoint that fails requests is left alone.")
    retries: Retries = section(Retries, "How often a request that failed is sent again.")
    dns: Dns = section(Dns, "How names are resolved.")
    tls: UpstreamTls = section(UpstreamTls, "How `https://` is spoken.")

    @property
    def origins(self) -> tuple[str, ...]:
        """The URLs of the endpoints."""
        return (self.url,) if self.url is not None else self.urls

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints that the URLs name."""
        return tuple(map(endpoint_of, self.origins))
