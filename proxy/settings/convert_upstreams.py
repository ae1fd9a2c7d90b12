"""The settings of upstreams, and of how routes ask them, become the nouns of `model`."""

from proxy.model.route import Rewrite
from proxy.model.upstream import Balance, Ejection, Health, Retries, Timeouts, Tls, Upstream
from proxy.settings import schema, upstreaming
from proxy.settings.origins import METADATA_NETWORKS


def upstream_of(name: str, upstream: upstreaming.Upstream) -> Upstream:
    """Return one upstream."""
    timeouts, dns = upstream.timeouts, upstream.dns
    return Upstream(
        name=name,
        endpoints=upstream.endpoints,
        balance=Balance(upstream.balance),
        max_connections=upstream.max_connections,
        max_waiting=upstream.max_waiting,
        connect_timeout_s=timeouts.connect,
        wait_timeout_s=timeouts.connect if timeouts.wait is None else timeouts.wait,
        timeouts=Timeouts(response_s=timeouts.response, body_idle_s=timeouts.body_idle),
        keep_alive_s=timeouts.keep_alive,
        health=None if upstream.health is None else _health(upstream.health),
        ejection=_ejection(upstream.ejection),
        retries=Retries(**upstream.retries.model_dump()),
        refresh_s=dns.refresh,
        denied_networks=dns.deny_networks + (() if dns.unsafe_allow_metadata else METADATA_NETWORKS),
        tls=Tls(**upstream.tls.model_dump()),
    )


def timeouts_on(route: schema.Route, upstream: upstreaming.Upstream) -> Timeouts | None:
    """Return the times that hold on a route, or None if they are the upstream's."""
    own, general = route.timeouts, upstream.timeouts
    if own.response is None and own.body_idle is None:
        return None
    return Timeouts(
        response_s=general.response if own.response is None else own.response,
        body_idle_s=general.body_idle if own.body_idle is None else own.body_idle,
    )


def rewrite_of(rewrite: upstreaming.Rewrite) -> Rewrite | None:
    """Return what is exchanged on the way upstream, or None if nothing is."""
    strip, add = rewrite.strip_prefix or "", rewrite.add_prefix or ""
    return Rewrite(segments=strip.count("/"), prefix=add) if strip or add else None


def _health(health: upstreaming.Health) -> Health:
    return Health(
        path=health.path,
        host=health.host,
        interval_s=health.interval,
        timeout_s=health.timeout,
        healthy_after=health.healthy_after,
        unhealthy_after=health.unhealthy_after,
        statuses=frozenset(health.statuses),
    )


def _ejection(ejection: upstreaming.Ejection) -> Ejection:
    return Ejection(
        after=ejection.after,
        time_s=ejection.time,
        max_time_s=ejection.max_time,
        max_percent=ejection.max_percent,
        server_errors=ejection.server_errors,
    )
