"""
The keys of the configuration, with their types, defaults and meanings.

Every key is written here once: loading, the JSON Schema for editors and the reference for readers
come from these models. A list that may be left out may not be empty: `hosts: []` could mean any
host or none. Relations between keys are the business of `crosscheck`, so that a mistake in one
value does not hide another.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PrivateAttr

from proxy.settings.addresses import (
    AddressRange,
    HostPattern,
    IssuerUrl,
    JwksUrl,
    ListenAddress,
)
from proxy.settings.limiting import MinRates, RateLimit, RateLimitTable, TokenFailures
from proxy.settings.listening import ListenSockets
from proxy.settings.matchers import ClaimMatcher
from proxy.settings.places import Places
from proxy.settings.quantities import BodySize, Duration, HeaderSize, Leeway, Moment, TargetSize, TokenSize
from proxy.settings.section import Section, section, setting
from proxy.settings.syntax import (
    ClaimName,
    ConfigFile,
    Count,
    Flag,
    HeaderName,
    Method,
    Name,
    PathPattern,
    Text,
    TokenType,
    UpgradeProtocol,
    Word,
    WorkerCount,
    WorkingFile,
)
from proxy.settings.upstreaming import Rewrite, RouteTimeouts, Upstream

ProfileName = Literal["generic", "gitlab-ci", "github-actions", "kubernetes", "keycloak"]
"""The identity providers whose claims and traps are known."""

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""The signature algorithms that may be configured: asymmetric ones only."""


class ListenTimeouts(Section):
    """How long a client may take."""

    headers: Duration = setting("10s", "For a request's head to arrive.")
    body_idle: Duration = setting("30s", "Between two pieces of a request body.")
    keep_alive: Duration = setting("75s", "Between two requests on a connection.")
    write_idle: Duration = setting(
        "30s", "Without the client's side acknowledging any more of a response that waits."
    )
    shutdown: Duration = setting("30s", "For open requests to end at shutdown.")


class Listen(ListenSockets):
    """The data port: where clients connect. Limits are for all sockets together."""

    max_connections: Count = setting(
        10_000, "Client connections open at a time, in all workers together: each has its part."
    )
    max_connections_per_client: Count | None = setting(
        None,
        "Client connections open at a time from one address (IPv6 from one /64), in all workers together."
        " `trusted_proxies` are not counted. No limit by default.",
    )
    max_requests_per_connection: Count | None = setting(
        None, "Requests on a connection; the last one is answered with `Connection: close`."
    )
    max_header_bytes: HeaderSize = setting(
        "32KiB", "Bytes of request line and headers; more is refused with 431."
    )
    max_header_line_bytes: HeaderSize = setting(
        "20KiB", "Bytes of one header line, which has room for the longest token; more is refused with 431."
    )
    max_header_count: Count = setting(100, "Header lines of a request; more are refused with 431.")
    max_target_bytes: TargetSize = setting("8KiB", "Bytes of path and query; more are refused with 414.")
    trusted_proxies: tuple[AddressRange, ...] = setting(
        (), "Proxies in front of rolegate whose `X-Forwarded-For` and `-Proto` are believed; nobody's else."
    )
    rate_limits: tuple[Name, ...] = setting(
        (),
        "Names of the rate limits of every request, whatever its route and before its token is looked at; "
        "each of them `per: client`.",
        min_length=1,
    )
    timeouts: ListenTimeouts = section(ListenTimeouts, "How long a client may take.")
    min_rates: MinRates = section(MinRates, "How slow a client may be; slower ones are ended.")


class Admin(Section):
    """The admin port: metrics and health, never on the data port."""

    address: ListenAddress = setting("127.0.0.1:9090", "Host and port of metrics and health checks.")


class Audit(Section):
    """Where audit records go: exactly one of `file` and `stdout`."""

    file: WorkingFile | None = setting(
        None, "File to append to, relative to the working directory of the process."
    )
    stdout: Flag = setting(False, "Write records to standard output instead of a file.")
    node: Word | None = setting(None, "Name of this instance in records; the name of the host by default.")


class IdentityHeaders(Section):
    """The headers in which an upstream finds the identity; whatever a client sends in them is removed."""

    subject: HeaderName = setting("X-Rolegate-Subject", "Header for the subject of the identity.")
    issuer: HeaderName = setting("X-Rolegate-Issuer", "Header for the name of its issuer.")
    roles: HeaderName = setting("X-Rolegate-Roles", "Header for its roles, separated by commas.")
    request_id: HeaderName = setting("X-Rolegate-Request-Id", "Header for the id of the request.")


class TokenCache(Section):
    """Verified tokens that are remembered until they expire."""

    max_entries: Count = setting(10_000, "Verified tokens remembered at a time.")
    failures: TokenFailures = section(
        TokenFailures, "Tokens that were refused, remembered for a moment, apart from the verified ones."
    )


class IssuerKeys(Section):
    """How an issuer's signing keys are kept fresh."""

    fresh_for: Duration = setting("10m", "Age at which keys are fetched again.")
    stale_for: Duration = setting("24h", "Age up to which keys are still used while fetching fails.")
    cooldown: Duration = setting("30s", "Least time between two fetches because of an unknown key id.")
    timeout: Duration = setting("5s", "Longest time one fetch may take.")


class Issuer(Section):
    """An identity provider whose tokens are believed."""

    url: IssuerUrl = Field(description="The issuer, compared with the claim `iss` byte for byte.")
    audiences: tuple[Word, ...] = Field(
        min_length=1, description="Values of the claim `aud` that mean us; a token must have one of them."
    )
    profile: ProfileName = setting("generic", "The provider, whose claims and traps are then known.")
    algorithms: tuple[Algorithm, ...] = setting(
        ("RS256", "ES256", "EdDSA"), "Signature algorithms that are accepted.", min_length=1
    )
    leeway: Leeway = setting("30s", "Difference between clocks that is forgiven.")
    max_lifetime: Duration = setting("24h", "Longest life of a token that is accepted, from `iat` to `exp`.")
    max_token_bytes: TokenSize = setting("16KiB", "Longest token that is read.")
    typ: tuple[TokenType, ...] | None = setting(
        None, "Values of the token header `typ` that are accepted; by default the profile's.", min_length=1
    )
    groups_claims: tuple[ClaimName, ...] | None = setting(
        None, "Claims that list groups; by default the profile's.", min_length=1
    )
    jwks_url: JwksUrl | None = setting(None, "Where the keys are, if not found by OIDC discovery.")
    jwks_file: ConfigFile | None = setting(
        None, "File with pinned keys instead, relative to the folder of the configuration."
    )
    ca_file: ConfigFile | None = setting(
        None, "Certificates that may vouch for the issuer, relative to the folder of the configuration."
    )
    required: Flag = setting(True, "Whether rolegate is ready only once it has this issuer's keys.")
    keys: IssuerKeys = section(IssuerKeys, "How its keys are kept fresh.")


class Binding(Section):
    """One way to come by a role: all claims match and, where groups are given, one of them is held."""

    issuer: Name = Field(description="Name of the issuer that must vouch for the claims.")
    claims: Mapping[ClaimName, ClaimMatcher] = setting(
        {}, "Claims that must match, by name or JSON Pointer.", min_length=1
    )
    groups: tuple[Word, ...] = setting((), "Groups of which one must be held.", min_length=1)
    expires: Moment | None = setting(None, "Moment from which the binding gives nothing any more.")


class Role(Section):
    """What somebody may be; routes allow roles, bindings give them."""

    description: Text = setting("", "What the role is for, for people.")
    bindings: tuple[Binding, ...] = Field(
        min_length=1, description="Ways to come by the role; any one is enough."
    )


class Match(Section):
    """Which requests a route is for."""

    hosts: tuple[HostPattern, ...] = setting(
        (), "Hosts, exact or with one leading `*.` for one label; any host if left out.", min_length=1
    )
    paths: tuple[PathPattern, ...] = Field(
        min_length=1, description="Paths; `*` stands for one segment, `**` at the end for the rest."
    )
    methods: tuple[Method, ...] = setting(
        (), "Methods; if left out: GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS.", min_length=1
    )


class Rule(Section):
    """One line of a policy: it holds when everything it states holds."""

    roles: tuple[Name, ...] = setting((), "Roles of which one must be held.", min_length=1)
    issuers: tuple[Name, ...] = setting((), "Issuers of which one must vouch for the identity.", min_length=1)
    methods: tuple[Method, ...] = setting((), "Methods of which one must be used.", min_length=1)
    paths: tuple[PathPattern, ...] = setting((), "Paths of which one must match.", min_length=1)
    claims: Mapping[ClaimName, ClaimMatcher] = setting(
        {}, "Claims that must match, by name or JSON Pointer.", min_length=1
    )


class Route(Section):
    """Requests that belong together, where they go, and by which policy."""

    name: Name = Field(description="Name in records and metrics; unique.")
    description: Text = setting("", "What the route is for, for people.")
    match: Match = Field(description="Which requests the route is for.")
    upstream: Name = Field(description="Name of the upstream that answers.")
    public: Flag = setting(False, "Answer everybody, without asking for a credential.")
    audiences: tuple[Word, ...] = setting(
        (), "Values of `aud` of which a token must have one here; the issuer's if left out.", min_length=1
    )
    encoded_slashes: Flag = setting(
        False, "Accept `%2F` within a segment, where it stays encoded for matching and for the upstream."
    )
    unsafe_forward_credential: Flag = setting(
        False, "Hand the caller's token on to the upstream, which can then act as the caller."
    )
    max_body: BodySize | None = setting(
        None, "Largest request body; more is refused with 413. No limit by default: bodies stream."
    )
    timeouts: RouteTimeouts = section(RouteTimeouts, "How long upstream and streams may take here.")
    rewrite: Rewrite = section(Rewrite, "The path prefix that is exchanged on the way upstream.")
    upgrade: tuple[UpgradeProtocol, ...] = setting(
        (),
        "Protocols that a request may change its connection to, such as `websocket`; what passes then is no"
        " longer looked at. An upgrade that is not listed is ignored.",
        min_length=1,
    )
    unsafe_streams_outlive_token: Flag = setting(
        False, "Leave an upgraded connection open when the token that opened it has expired."
    )
    allow: tuple[Rule, ...] = setting((), "Rules that let a request pass; without a match it is denied.")
    deny: tuple[Rule, ...] = setting((), "Rules that stop a request, asked before those that allow.")
    rate_limits: tuple[Name, ...] = setting(
        (), "Names of the rate limits of requests that the rules allow.", min_length=1
    )
    max_in_flight: Count | None = setting(
        None,
        "Requests in flight at a time, in all workers together. More get 503. No limit by default.",
    )


class Settings(Section):
    """The whole configuration."""

    workers: WorkerCount = setting(
        1,
        "Processes that share the data port, or `auto` for one on each core. Rate limits and those of"
        " connections and requests in flight hold for all together; caches and health checks are each"
        " one's own. Each has an audit file of its own: `audit.0.jsonl`.",
    )
    listen: Listen = section(Listen, "The data port: where clients connect.")
    admin: Admin = section(Admin, "The admin port: metrics and health.")
    audit: Audit = Field(description="Where audit records go: exactly one of `file` and `stdout`.")
    identity_headers: IdentityHeaders = section(
        IdentityHeaders, "The headers in which an upstream finds the identity."
    )
    token_cache: TokenCache = section(TokenCache, "Verified tokens that are remembered until they expire.")
    issuers: Mapping[Name, Issuer] = setting({}, "Identity providers whose tokens are believed, by name.")
    roles: Mapping[Name, Role] = setting({}, "What callers may be, by name.")
    rate_limit_table: RateLimitTable = section(
        RateLimitTable, "What was used of rate limits, in memory of a fixed size."
    )
    rate_limits: Mapping[Name, RateLimit] = setting({}, "How many requests somebody may send, by name.")
    upstreams: Mapping[Name, Upstream] = setting({}, "Services behind rolegate, by name.")
    routes: tuple[Route, ...] = setting((), "Which requests go where; the most specific one wins.")

    _places: Places = PrivateAttr(default_factory=Places)

    def model_post_init(self, context: Any, /) -> None:  # Any: pydantic's signature
        """Keep the places that `load` hands over."""
        if isinstance(context, dict) and "places" in context:
            self._places = context["places"]

    def place(self, *path: str | int) -> str:
        """Return `file:line:column` of the key at `path`, or of the nearest one above that is written."""
        return str(self._places.place(path))

    def without_places(self) -> "Settings":
        """Return the same settings for somebody who reports no problems: a small part of the size."""
        bare = self.model_copy()
        bare._places = Places()  # noqa: SLF001 - our own class
        return bare

    def key(self, *path: str | int) -> str:
        """Return `path` as messages name it: `routes.deployments.allow[0]`."""
        return self._places.key(path)

    def __repr__(self) -> str:
        counts = (
            f"{len(getattr(self, name))} {name}" for name in ("issuers", "roles", "upstreams", "routes")
        )
        return f"<Settings [{', '.join(counts)}]>"

    __str__ = __repr__
