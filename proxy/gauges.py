"""Which state of the running parts is a metric, by name, unit and source."""

from collections.abc import Callable, Iterator, Mapping
from time import monotonic

from proxy import __version__
from proxy.accept.listener import Listener
from proxy.build import BUILD
from proxy.forward.forwarder import Forwarder
from proxy.forward.standing import Standing, State
from proxy.identify.cache import TokenCache
from proxy.identify.keyring import KeyRing
from proxy.identify.resolver import Resolver
from proxy.limit.admissions import Admissions
from proxy.limit.table import Table
from proxy.record.recorder import Recorder
from proxy.record.state_metrics import Rows, Source
from proxy.streams import Streams


def sources(
    recorder: Recorder, keys: KeyRing, cache: TokenCache, pools: Mapping[str, Forwarder], listener: Listener
) -> Iterator[Source]:
    """Yield every source of state, part by part."""
    yield Source(
        name="rolegate_build_info",
        text="Always 1; the labels say what runs.",
        labels=("version", "build"),
        rows=lambda: [((__version__, BUILD), 1)],
    )
    yield from _of_the_listener(listener)
    yield from _of_issuers(keys)
    yield from _of_the_token_cache(cache)
    yield from _of_upstreams(pools)
    yield from _of_endpoints(pools)
    yield from _of_retries_and_lookups(pools)
    yield from _of_the_audit_trail(recorder)


def open_streams(streams: Streams) -> Source:
    """Return the source that counts upgraded connections."""
    return Source(
        name="rolegate_open_streams",
        text="Upgraded connections, such as WebSockets, open now.",
        rows=lambda: [((), len(streams))],
    )


def _of_the_listener(listener: Listener) -> Iterator[Source]:
    yield Source(
        name="rolegate_client_connections",
        text="Client connections open now.",
        rows=lambda: [((), listener.connection_count)],
    )
    yield Source(
        name="rolegate_client_connections_accepted",
        text="Client connections accepted.",
        is_counter=True,
        rows=lambda: [((), listener.accepted)],
    )
    yield Source(
        name="rolegate_client_connections_refused",
        text="Client connections reset because `listen.max_connections` were open.",
        is_counter=True,
        rows=lambda: [((), listener.refused)],
    )
    yield Source(
        name="rolegate_client_handshakes_failed",
        text="Client connections that ended before their first request, by what failed.",
        labels=("cause",),
        is_counter=True,
        rows=lambda: [
            (("proxy-header",), listener.headers_failed),
            (("tls",), listener.handshakes_failed),
            (("timeout",), listener.handshakes_expired),
        ],
    )
    yield from _of_certificates(listener)


def _of_certificates(listener: Listener) -> Iterator[Source]:
    # A certificate that several doors show is one row.
    yield Source(
        name="rolegate_certificate_not_after_seconds",
        text="End of each TLS certificate that is in force, in epoch seconds.",
        labels=("file",),
        rows=lambda: {(str(one.files.certificate),): one.ends_at for one in listener.certificates()}.items(),
    )
    yield Source(
        name="rolegate_certificate_reloads",
        text="Changes of TLS files by result; after a failure the old ones stay in force.",
        labels=("result",),
        is_counter=True,
        rows=lambda: [(("success",), listener.reloads), (("failure",), listener.failed_reloads)],
    )


def _of_issuers(keys: KeyRing) -> Iterator[Source]:
    def fetches() -> Rows:
        for status in keys.status():
            yield (status.alias, "success"), status.fetches_succeeded
            yield (status.alias, "failure"), status.fetches_failed

    yield Source(
        name="rolegate_issuer_keys",
        text="Keys of the issuer that are believed now; 0 refuses its tokens.",
        labels=("issuer",),
        rows=lambda: [((status.alias,), status.keys) for status in keys.status()],
    )
    yield Source(
        name="rolegate_issuer_keys_age_seconds",
        text="Time since the issuer's keys were last fetched.",
        labels=("issuer",),
        rows=lambda: [
            ((status.alias,), status.age_s) for status in keys.status() if status.age_s is not None
        ],
    )
    yield Source(
        name="rolegate_issuer_key_fetches",
        text="Fetches of the issuer's keys by result.",
        labels=("issuer", "result"),
        is_counter=True,
        rows=fetches,
    )


def _of_the_token_cache(cache: TokenCache) -> Iterator[Source]:
    yield Source(
        name="rolegate_token_cache_entries",
        text="Verified tokens remembered now.",
        rows=lambda: [((), len(cache))],
    )
    yield Source(
        name="rolegate_token_cache_lookups",
        text="Look-ups of tokens by result; a miss verifies a signature.",
        labels=("result",),
        is_counter=True,
        rows=lambda: [(("hit",), cache.hits), (("miss",), cache.misses)],
    )


def _of_upstreams(pools: Mapping[str, Forwarder]) -> Iterator[Source]:
    def connections() -> Rows:
        for name, pool in pools.items():
            yield (name, "busy"), pool.busy_count
            yield (name, "idle"), pool.idle_count

    def failures() -> Rows:
        for name, pool in pools.items():
            for reason, count in pool.failures.items():
                yield (name, reason.value), count

    yield Source(
        name="rolegate_upstream_connections",
        text="Connections to the upstream open now, by state.",
        labels=("upstream", "state"),
        rows=connections,
    )
    yield Source(
        name="rolegate_upstream_waiting_requests",
        text="Requests that wait for a connection to the upstream.",
        labels=("upstream",),
        rows=lambda: [((name,), pool.waiting_count) for name, pool in pools.items()],
    )
    yield Source(
        name="rolegate_upstream_failures",
        text="Failures of the upstream by reason.",
        labels=("upstream", "reason"),
        is_counter=True,
        rows=failures,
    )


def _of_endpoints(upstreams: Mapping[str, Forwarder]) -> Iterator[Source]:
    def standings() -> Iterator[tuple[tuple[str, str], Standing]]:
        for name, forwarder in upstreams.items():
            for pool in forwarder.pools:
                if pool.standing is not None:
                    yield (name, pool.address), pool.standing

    def checks() -> Rows:
        for labels, standing in standings():
            yield (*labels, "passed"), standing.checks_passed
            yield (*labels, "failed"), standing.checks_failed

    yield Source(
        name="rolegate_endpoint_state",
        text="1 for the state in which the endpoint is: good, ejected, half-open or unhealthy.",
        labels=("upstream", "endpoint", "state"),
        rows=lambda: [
            ((*labels, state.value), float(standing.state is state))
            for labels, standing in standings()
            for state in State
        ],
    )
    yield Source(
        name="rolegate_endpoint_ejections",
        text="How often the endpoint was left alone because requests failed there.",
        labels=("upstream", "endpoint"),
        is_counter=True,
        rows=lambda: [(labels, standing.ejections) for labels, standing in standings()],
    )
    yield Source(
        name="rolegate_endpoint_checks",
        text="Health checks of the endpoint by result.",
        labels=("upstream", "endpoint", "result"),
        is_counter=True,
        rows=checks,
    )


def _of_retries_and_lookups(upstreams: Mapping[str, Forwarder]) -> Iterator[Source]:
    def lookups() -> Rows:
        for upstream, forwarder in upstreams.items():
            for pool in forwarder.pools:
                if (name := pool.dialer.name) is not None:
                    yield (upstream, pool.address, "success"), name.lookups - name.failures
                    yield (upstream, pool.address, "failure"), name.failures

    def retries() -> Rows:
        for name, forwarder in upstreams.items():
            yield (name, "sent"), forwarder.budget.spent
            yield (name, "over-budget"), forwarder.budget.refused
            yield (name, "stale-connection"), forwarder.stale_retries

    yield Source(
        name="rolegate_endpoint_lookups",
        text="Look-ups of the endpoint's name by result.",
        labels=("upstream", "endpoint", "result"),
        is_counter=True,
        rows=lookups,
    )
    yield Source(
        name="rolegate_upstream_retries",
        text="Requests sent again, and those that were not because the budget was spent.",
        labels=("upstream", "result"),
        is_counter=True,
        rows=retries,
    )


def _of_the_audit_trail(recorder: Recorder) -> Iterator[Source]:
    yield Source(
        name="rolegate_audit_available",
        text="1 while audit records can be written; 0 refuses every request.",
        rows=lambda: [((), float(recorder.is_available))],
    )
    yield Source(
        name="rolegate_audit_records",
        text="Audit records by kind.",
        labels=("kind",),
        is_counter=True,
        rows=lambda: [(("decision",), recorder.decisions), (("outcome",), recorder.outcomes)],
    )
    yield Source(
        name="rolegate_audit_failures",
        text="Failed attempts to write or to open the audit sink.",
        is_counter=True,
        rows=lambda: [((), recorder.failures)],
    )
    yield Source(
        name="rolegate_audit_records_dropped",
        text="Outcome records given up because the sink stayed away too long.",
        is_counter=True,
        rows=lambda: [((), recorder.dropped)],
    )


def limit_sources(
    listener: Listener, resolver: Callable[[], Resolver], admissions: Admissions
) -> Iterator[Source]:
    """Yield how often each limit acted; which route or limit is a label, who met it is not."""
    yield Source(
        name="rolegate_client_connections_refused_per_client",
        text="Client connections reset because their client had `listen.max_connections_per_client` open.",
        is_counter=True,
        rows=lambda: [((), listener.crowd.refused)],
    )
    yield Source(
        name="rolegate_clients_too_slow",
        text="Clients that were ended because they sent a request body, or took a response, too slowly.",
        labels=("direction",),
        is_counter=True,
        rows=lambda: [(("request",), listener.slow_senders), (("response",), listener.slow_readers)],
    )
    yield from _of_rate_limits(admissions)
    yield from _of_refused_tokens(resolver)


def _of_rate_limits(admissions: Admissions) -> Iterator[Source]:
    def table_rows(number: Callable[[Table], float]) -> Callable[[], Rows]:
        return lambda: [] if admissions.table is None else [((), number(admissions.table))]

    yield Source(
        name="rolegate_rate_limit_refusals",
        text="Requests refused by a rate limit.",
        labels=("limit",),
        is_counter=True,
        rows=lambda: [((name,), count) for name, count in admissions.refused()],
    )
    yield Source(
        name="rolegate_rate_limit_table_entries",
        text="Callers with a part of a budget used up.",
        rows=table_rows(lambda table: table.entries(monotonic())),
    )
    yield Source(
        name="rolegate_rate_limit_table_evictions",
        text="Callers that took over the entry of another because the table was full where they belong.",
        is_counter=True,
        rows=table_rows(lambda table: table.evictions),
    )
    yield Source(
        name="rolegate_route_requests_in_flight",
        text="Requests in flight on routes with limits.",
        labels=("route",),
        rows=lambda: [((name,), places.in_flight) for name, places in admissions.places()],
    )
    yield Source(
        name="rolegate_route_requests_shed",
        text="Requests refused because `max_in_flight` were in flight on their route.",
        labels=("route",),
        is_counter=True,
        rows=lambda: [((name,), places.shed) for name, places in admissions.places()],
    )


def _of_refused_tokens(resolver: Callable[[], Resolver]) -> Iterator[Source]:
    yield Source(
        name="rolegate_token_verifications",
        text="Tokens that were looked at because no cache knew them.",
        is_counter=True,
        rows=lambda: [((), resolver().verifications)],
    )
    yield Source(
        name="rolegate_token_verifications_delayed",
        text="Unknown tokens that waited their turn because others were looked at in vain, as in a flood.",
        is_counter=True,
        rows=lambda: [((), resolver().waited)],
    )
    yield Source(
        name="rolegate_token_failures_entries",
        text="Refused tokens remembered now.",
        rows=lambda: [((), len(resolver().failures))],
    )
    yield Source(
        name="rolegate_token_failures_hits",
        text="Refusals of tokens that were refused a moment before.",
        is_counter=True,
        rows=lambda: [((), resolver().failures.hits)],
    )
