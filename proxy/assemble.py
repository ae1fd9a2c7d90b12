"""
Settings become running parts. This module alone knows everyone; nothing knows it but the commands.

A new capability is a new file, and one line here.
"""

import asyncio
import platform
import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from proxy.accept.limits import Limits
from proxy.accept.listener import Listener
from proxy.authorize.compile import compile_policy
from proxy.authorize.lint import lint
from proxy.authorize.roles import RoleMapper
from proxy.authorize.routing import RouteTable
from proxy.control.admin import Admin
from proxy.environment import Environment
from proxy.errors import ConfigurationError
from proxy.forward.pool import Pool
from proxy.gauges import open_streams, sources
from proxy.identify.cache import TokenCache
from proxy.identify.claims import IdentityBuilder
from proxy.identify.fetch import HttpFetch
from proxy.identify.issuers import Issuer, KeyTimes
from proxy.identify.keyring import KeyRing
from proxy.identify.profiles import PROFILES
from proxy.identify.resolver import Resolver
from proxy.live import Holder, Live, Passage
from proxy.model.audit import identity_members
from proxy.model.fingerprint import fingerprint
from proxy.model.route import Route
from proxy.pipeline import Pipeline
from proxy.record.interfaces import Sink
from proxy.record.metrics import RequestMetrics
from proxy.record.recorder import Recorder
from proxy.record.sinks.file import FileSink
from proxy.record.sinks.stdout import StdoutSink
from proxy.record.state_metrics import StateMetrics
from proxy.settings import schema
from proxy.settings.convert import roles_of, routes_of, upstreams_of
from proxy.settings.problem import Problem, SettingsError
from proxy.settings.schema import Settings
from proxy.tasks import TaskOwner
from proxy.wire.headers import RequestHeaders, identity_lines

SWEEP_S = 0.25
TEND_S = 1.0


class Proxy:
    """Everything that runs, built from one configuration; `start` opens the sockets, `stop` ends in order."""

    def __init__(self, settings: Settings) -> None:
        errors = problems(settings)
        if errors:
            raise SettingsError(errors)
        self.settings = settings
        self.port = 0
        self.admin_port = 0
        self._tasks = TaskOwner()
        self._fetch = HttpFetch()
        self._metrics = RequestMetrics()

    async def start(self) -> None:
        """Open the audit sink, then both ports; keys are fetched meanwhile."""
        settings, loop = self.settings, asyncio.get_running_loop()
        self.recorder = Recorder(sink_of(settings.audit), settings.audit.node or platform.node(), loop)
        self.recorder.open()
        self.environment = Environment(Holder(self.prepare()), self.recorder, self._tasks, time.monotonic)
        self.listener = Listener(Pipeline(self.environment), limits_of(settings.listen), time.monotonic)
        self.keys.start()
        self._tasks.spawn(self._sweep(), name="sweep")
        self._tasks.spawn(self._tend(), name="tend the audit sink")
        self.admin = Admin(self._registry(), self.missing)
        try:
            self.admin_port = await self.admin.start(settings.admin.address.host, settings.admin.address.port)
            self.port = await self.listener.start(settings.listen.address.host, settings.listen.address.port)
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
        settings = self.settings
        self.pools = {
            upstream.name: Pool(upstream, self._tasks, time.monotonic) for upstream in upstreams_of(settings)
        }
        self.keys = KeyRing(issuers_of(settings), self._fetch, self._tasks)
        self.cache = TokenCache(settings.token_cache.max_entries)
        return self._live()

    async def release(self) -> None:
        """End connections, tasks and fetches."""
        for pool in self.pools.values():
            pool.close()
        await self._tasks.close()
        await self._fetch.close()

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

    def _live(self) -> Live:
        settings = self.settings
        mapper = RoleMapper(roles_of(settings))
        headers = settings.identity_headers
        names = (headers.subject.encode(), headers.issuer.encode(), headers.roles.encode())
        builder = IdentityBuilder(
            mapper,
            lambda issuer, subject, roles: identity_lines(names, issuer, subject, roles),
            identity_members,
        )
        passages = ((route, self._passage(route, mapper)) for route in routes_of(settings))
        self.resolver = Resolver(issuers_of(settings), self.keys, self.cache, builder)
        return Live(
            routes=RouteTable.build(passages),
            identities=self.resolver,
            policy_version=policy_version(settings),
            request_headers=RequestHeaders((*names, headers.request_id.encode())),
            request_id_header=headers.request_id.encode(),
            unrouted_counts=self._metrics.unrouted,
            trusted_proxies=settings.listen.trusted_proxies,
        )

    def _passage(self, route: Route, mapper: RoleMapper) -> Passage:
        return Passage(
            route,
            compile_policy(route.policy, mapper).decide,
            audiences_on(route, self.settings),
            self.pools[route.upstream],
            self._metrics.route(route.name),
        )

    def _registry(self) -> CollectorRegistry:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._metrics)
        registry.register(
            StateMetrics(sources(self.recorder, self.keys, self.cache, self.pools, self.listener))
        )
        registry.register(StateMetrics([open_streams(self.environment.streams)]))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        return registry

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = time.monotonic()
            self.listener.sweep(now)
            self.environment.streams.sweep(now)
            for pool in self.pools.values():
                pool.sweep(now)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_S)
            self.recorder.tend()

    def __repr__(self) -> str:
        return f"<Proxy port={self.port} admin_port={self.admin_port}>"


def problems(settings: Settings) -> list[Problem]:
    """Return what only shows when the parts are put together, with the place in the configuration."""
    errors = _findings(settings, "error")
    for alias, issuer in settings.issuers.items():
        try:
            issuer_of(alias, issuer)
        except ConfigurationError as error:
            errors.append(Problem(settings.place("issuers", alias), f"issuers.{alias}", str(error)))
    return errors


def warnings(settings: Settings) -> list[Problem]:
    """Return what loads and is probably not meant."""
    return _findings(settings, "warning")


def _findings(settings: Settings, severity: str) -> list[Problem]:
    profiles = {alias: PROFILES[issuer.profile] for alias, issuer in settings.issuers.items()}
    pinning = {
        alias: profile.pinning_claims if profile.caller_picks_audience else None
        for alias, profile in profiles.items()
    }
    mutable = {alias: profile.mutable_claims for alias, profile in profiles.items()}
    found = lint(roles_of(settings), routes_of(settings), pinning, now=time.time(), mutable=mutable)
    return [
        Problem(settings.place(*finding.path), settings.key(*finding.path), finding.message)
        for finding in found
        if finding.severity == severity
    ]


def issuers_of(settings: Settings) -> list[Issuer]:
    """Return the issuers as `identify` knows them."""
    return [issuer_of(alias, issuer) for alias, issuer in settings.issuers.items()]


def issuer_of(alias: str, issuer: schema.Issuer) -> Issuer:
    """Return one issuer as `identify` knows it, or raise ConfigurationError."""
    return Issuer(
        alias=alias,
        url=issuer.url,
        audiences=frozenset(issuer.audiences),
        profile=PROFILES[issuer.profile],
        algorithms=frozenset(issuer.algorithms),
        leeway_s=issuer.leeway,
        max_lifetime_s=issuer.max_lifetime,
        max_token_bytes=issuer.max_token_bytes,
        types=None if issuer.typ is None else frozenset(issuer.typ),
        groups_claims=issuer.groups_claims,
        jwks_url=issuer.jwks_url,
        jwks_file=issuer.jwks_file,
        ca_file=issuer.ca_file,
        required=issuer.required,
        keys=KeyTimes(
            fresh_for_s=issuer.keys.fresh_for,
            stale_for_s=issuer.keys.stale_for,
            cooldown_s=issuer.keys.cooldown,
            timeout_s=issuer.keys.timeout,
        ),
    )


def limits_of(listen: schema.Listen) -> Limits:
    """Return the limits of the data port."""
    return Limits(
        max_connections=listen.max_connections,
        max_header_bytes=listen.max_header_bytes,
        max_header_count=listen.max_header_count,
        max_target_bytes=listen.max_target_bytes,
        headers_timeout_s=listen.timeouts.headers,
        body_idle_timeout_s=listen.timeouts.body_idle,
        keep_alive_timeout_s=listen.timeouts.keep_alive,
        write_idle_timeout_s=listen.timeouts.write_idle,
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
    upstreams = {name: upstream.url for name, upstream in settings.upstreams.items()}
    return fingerprint(issuers, roles, upstreams, routes)
