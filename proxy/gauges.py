"""Which state of the running parts is a metric, by name, unit and source."""

from collections.abc import Iterator, Mapping

from proxy import __version__
from proxy.accept.listener import Listener
from proxy.forward.pool import Pool
from proxy.identify.cache import TokenCache
from proxy.identify.keyring import KeyRing
from proxy.record.recorder import Recorder
from proxy.record.state_metrics import Rows, Source
from proxy.streams import Streams


def sources(
    recorder: Recorder, keys: KeyRing, cache: TokenCache, pools: Mapping[str, Pool], listener: Listener
) -> Iterator[Source]:
    """Yield every source of state, part by part."""
    yield Source(
        name="rolegate_build_info",
        text="Always 1; the version is the label.",
        labels=("version",),
        rows=lambda: [((__version__,), 1)],
    )
    yield from _of_the_listener(listener)
    yield from _of_issuers(keys)
    yield from _of_the_token_cache(cache)
    yield from _of_upstreams(pools)
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


def _of_upstreams(pools: Mapping[str, Pool]) -> Iterator[Source]:
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
