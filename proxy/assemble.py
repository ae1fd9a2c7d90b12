"""
Settings become running parts. This module alone knows everyone; nothing knows it but the commands.

A new capability is a new file, and one line here.
"""

import asyncio
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import Metric

from proxy.accept.limits import Limits
from proxy.accept.listener import Listener
from proxy.administration import Admin
from proxy.authorize.compile import compile_policy
from proxy.authorize.roles import RoleMapper
from proxy.authorize.routing import RouteTable
from proxy.control.pages import Pages
from proxy.environment import Environment
from proxy.errors import ConfigurationError
from proxy.forward.forwarder import Forwarder
from proxy.gauges import limit_sources, open_streams, sources
from proxy.identify.cache import TokenCache
from proxy.identify.claims import IdentityBuilder
from proxy.identify.failures import FailureCache
from proxy.identify.fetch import HttpFetch
from proxy.identify.keyring import KeyRing
from proxy.identify.resolver import Resolver
from proxy.identify.turnstile import Turnstile
from proxy.limit.admissions import Admissions
from proxy.limit.presence import Presence
from proxy.limit.table import Table
from proxy.listening import doors_of
from proxy.live import Holder, Live, Passage
from proxy.model.audit import identity_members
from proxy.model.fingerprint import fingerprint
from proxy.model.route import Route
from proxy.pipeline import Pipeline
from proxy.record.interfaces import Sink
from proxy.record.metrics import RequestMetrics
from proxy.record.policy_metrics import PolicyMetrics, ReloadCounts
from proxy.record.recorder import Recorder
from proxy.record.sinks.file import FileSink
from proxy.record.sinks.stdout import StdoutSink
from proxy.record.state_metrics import StateMetrics
from proxy.seat import PRESENCE, RATES, Seat
from proxy.settings import schema
from proxy.settings.convert import door_limits_of, roles_of, routes_of, upstreams_of
from proxy.settings.problem import SettingsError
from proxy.settings.schema import Settings
from proxy.succession import Retired, succeed
from proxy.tasks import TaskOwner
from proxy.vetting import issuers_of, problems
from proxy.wire.headers import RequestHeaders, identity_lines

SWEEP_S = 0.25
TEND_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A configuration with its parts, of which nothing is in force yet; whoever lets go of it undoes it."""

    settings: Settings
    pools: dict[str, Forwarder]
    keys: KeyRing
    cache: TokenCache
    resolver: Resolver
    live: Live


class Proxy:
    """
    Everything that runs, built from one configuration; `start` opens the sockets, `stop` ends in order.

    With a `seat` it is one of several workers on the same port.
    """

    def __init__(self, settings: Settings, seat: Seat | None = None) -> None:
        errors = problems(settings)
        if errors:
            raise SettingsError(errors)
        self.settings = settings
        self.seat = seat
        self.port = 0
        self.admin_port = 0
        self._tasks = TaskOwner()
        self._metrics = RequestMetrics()
        self._retired = Retired()
        self.pools: dict[str, Forwarder] = {}
        self.policy = PolicyMetrics()
        self.reloads = ReloadCounts()
        self.admissions = Admissions()
        if seat is not None and RATES in seat.descriptors:
            self.admissions.table = Table.attach(seat.descriptors[RATES])
        if seat is not None and PRESENCE in seat.descriptors:
            self.admissions.presence = Presence.attach(seat.descriptors[PRESENCE], seat.number)

    async def start(self) -> None:
        """Open the audit sink, then both ports; keys are fetched meanwhile."""
        settings, loop = self.settings, asyncio.get_running_loop()
        self.recorder = Recorder(sink_of(settings.audit), settings.audit.node or platform.node(), loop)
        self.recorder.open()
        self.environment = Environment(Holder(self.prepare()), self.recorder, self._tasks, time.monotonic)
        self.listener = Listener(
            Pipeline(self.environment),
            limits_of(settings.listen),
            time.monotonic,
            self.admissions.presence,
        )
        self.keys.start()
        self._tasks.spawn(self._sweep(), name="sweep")
        self._tasks.spawn(self._tend(), name="tend the audit sink")
        self.admin = Admin(Pages(self._registry(), self.missing, for_supervisor=self.seat is not None))
        shared = None if self.seat is None else self.seat.listening
        try:
            await self._start_admin()
            self.port = await self.listener.start(
                doors_of(settings), reuse_port=self.seat is not None, shared=shared
            )
        except ConfigurationError:
            await self.stop()
            raise
        except OSError as error:
            await self.stop()
            raise ConfigurationError(f"cannot listen: {error.strerror or error}") from error

    async def stop(self) -> int:
        """Finish what is in flight, then end everything; return how many connections had to be reset."""
        self.environment.is_draining = True
        cut = await self.listener.stop(self.settings.listen.timeouts.shutdown)
        await self.admin.stop()
        await self.release()
        self.recorder.close()
        return cut

    def prepare(self) -> Live:
        """Build what decides and return it; opens no port and no file, and `release` ends it."""
        staged = self.stage(self.settings)
        self._take(staged)
        return staged.live

    def stage(self, settings: Settings) -> Staged:
        """
        Build what would come into force with `settings`, or raise ConfigurationError.

        May run on a thread, since it takes a while for thousands of routes; `commit` takes none.
        """
        pools = succeed(
            self.pools, upstreams_of(settings), lambda it: Forwarder(it, self._tasks, time.monotonic)
        )
        keys = KeyRing(issuers_of(settings), HttpFetch(), self._tasks)
        # Never the entries of another configuration: their roles are those of its bindings.
        cache = TokenCache(settings.token_cache.max_entries)
        self.admissions.open(settings.rate_limits, settings.rate_limit_table.max_entries)
        resolver, live = self._live(settings, pools, keys, cache)
        return Staged(settings=settings, pools=pools, keys=keys, cache=cache, resolver=resolver, live=live)

    def commit(self, staged: Staged) -> None:
        """Put what was staged in force, at once and whole; requests under way keep what they started with."""
        staged.keys.inherit(self.keys)
        staged.resolver.count_on(self.resolver)
        self.keys.stop()
        replaced = [pool for name, pool in self.pools.items() if staged.pools.get(name) is not pool]
        self._retired.add(replaced, self.environment.holder.current)
        self._take(staged)
        self.environment.holder.swap(staged.live)
        names = {route.name for route in staged.settings.routes}
        self._metrics.keep(names)
        self.admissions.keep(names, staged.settings.rate_limits.keys())
        self.listener.limits = limits_of(staged.settings.listen)
        self.keys.start()

    async def reload(self, settings: Settings) -> None:
        """Put `settings` in force, or raise ConfigurationError and change nothing."""
        self.commit(await asyncio.to_thread(self.stage, settings))

    def _take(self, staged: Staged) -> None:
        self.settings, self.pools, self.keys = staged.settings, staged.pools, staged.keys
        self.cache, self.resolver = staged.cache, staged.resolver
        self.policy.loaded(staged.live.policy_version, time.time())

    async def _start_admin(self) -> None:
        if self.seat is not None:
            await self.admin.start_on_socket(self.seat.admin_path)
            return
        self.admin_port = await self.admin.start(*self.settings.admin.address)

    async def release(self) -> None:
        """End connections and tasks."""
        for pool in self.pools.values():
            pool.close()
        self._retired.close()
        await self._tasks.close()

    def missing(self) -> list[str]:
        """Return what keeps the proxy from being ready."""
        lacking = [
            f"issuer `{status.alias}` has no keys: {status.last_error or 'not fetched yet'}"
            for status in self.keys.status()
            if status.required and not status.has_keys
        ]
        if not self.recorder.is_available:
            lacking.append("the audit sink takes no records")
        if self.listener.is_draining:
            lacking.append("shutting down")
        return lacking

    def _live(
        self, settings: Settings, pools: Mapping[str, Forwarder], keys: KeyRing, cache: TokenCache
    ) -> tuple[Resolver, Live]:
        mapper = RoleMapper(roles_of(settings))
        headers = settings.identity_headers
        names = (headers.subject.encode(), headers.issuer.encode(), headers.roles.encode())
        builder = IdentityBuilder(
            mapper,
            lambda issuer, subject, roles: identity_lines(names, issuer, subject, roles),
            identity_members,
        )
        passages = (
            (route, self._passage(route, settings, mapper, pools[route.upstream]))
            for route in routes_of(settings)
        )
        failures = settings.token_cache.failures
        refused = FailureCache(failures.max_entries, failures.ttl)
        resolver = Resolver(issuers_of(settings), keys, cache, builder, refused, Turnstile())
        return resolver, Live(
            routes=RouteTable.build(passages),
            identities=resolver,
            policy_version=policy_version(settings),
            request_headers=RequestHeaders((*names, headers.request_id.encode())),
            request_id_header=headers.request_id.encode(),
            unrouted_counts=self._metrics.unrouted,
            trusted_proxies=settings.listen.trusted_proxies,
            door=self.admissions.door(door_limits_of(settings)),
        )

    def _passage(self, route: Route, settings: Settings, mapper: RoleMapper, pool: Forwarder) -> Passage:
        return Passage(
            route,
            compile_policy(route.policy, mapper).decide,
            audiences_on(route, settings),
            pool,
            self._metrics.route(route.name),
            self.admissions.route(route),
        )

    def _registry(self) -> CollectorRegistry:
        registry = CollectorRegistry(auto_describe=False)
        limits = StateMetrics(limit_sources(self.listener, lambda: self.resolver, self.admissions))
        streams = StateMetrics([open_streams(self.environment.streams)])
        for collector in (self._metrics, self, self.policy, self.reloads, limits, streams):
            registry.register(collector)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        return registry

    def collect(self) -> Iterator[Metric]:
        """Yield the state of the parts that are there now; a reload may have replaced some."""
        parts = sources(self.recorder, self.keys, self.cache, self.pools, self.listener)
        return StateMetrics(parts).collect()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = time.monotonic()
            self.listener.sweep(now)
            self.environment.streams.sweep(now)
            for pool in self.pools.values():
                pool.sweep(now)
            self._retired.sweep(now)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_S)
            self.recorder.tend()
            self.listener.tend()

    def __repr__(self) -> str:
        return f"<Proxy port={self.port} admin_port={self.admin_port}>"


def limits_of(listen: schema.Listen) -> Limits:
    """Return the limits of the data port."""
    return Limits(
        max_connections=listen.max_connections,
        max_header_bytes=listen.max_header_bytes,
        max_header_count=listen.max_header_count,
        max_header_line_bytes=listen.max_header_line_bytes,
        max_target_bytes=listen.max_target_bytes,
        headers_timeout_s=listen.timeouts.headers,
        body_idle_timeout_s=listen.timeouts.body_idle,
        keep_alive_timeout_s=listen.timeouts.keep_alive,
        write_idle_timeout_s=listen.timeouts.write_idle,
        max_connections_per_client=listen.max_connections_per_client,
        max_requests_per_connection=listen.max_requests_per_connection,
        min_request_rate=listen.min_rates.request_body,
        min_response_rate=listen.min_rates.response,
        rate_window_s=listen.min_rates.window,
        uncounted=listen.trusted_proxies,
    )


def sink_of(audit: schema.Audit) -> Sink:
    """Return where audit records go."""
    return StdoutSink() if audit.file is None else FileSink(audit.file)


def audiences_on(route: Route, settings: Settings) -> Mapping[str, frozenset[str]]:
    """Return for each issuer the audiences of which a token must name one on this route."""
    return {
        alias: frozenset(issuer.audiences) & route.audiences
        if route.audiences
        else frozenset(issuer.audiences)
        for alias, issuer in settings.issuers.items()
    }


def policy_version(settings: Settings) -> str:
    """Return the name of what is in force: the same for the same roles, routes and issuers."""
    # Not the issuers' key files: what is pinned there shows in the metrics, and changes without the policy.
    issuers = {
        alias: (
            issuer.url,
            frozenset(issuer.audiences),
            frozenset(issuer.algorithms),
            issuer.profile,
            issuer.max_lifetime,
        )
        for alias, issuer in settings.issuers.items()
    }
    routes = {route.name: route for route in routes_of(settings)}
    roles = {role.name: role for role in roles_of(settings)}
    upstreams = {name: upstream.origins for name, upstream in settings.upstreams.items()}
    return fingerprint(issuers, roles, upstreams, routes)
