"""Settings become the nouns of `model`; nothing is checked here, since `load` has."""

from collections.abc import Mapping

from proxy.model.policy import Binding, Policy, Role, Rule
from proxy.model.rate_limit import Per, RateLimit
from proxy.model.route import Route
from proxy.model.upstream import Upstream
from proxy.settings import schema
from proxy.settings.convert_upstreams import rewrite_of, timeouts_on, upstream_of
from proxy.settings.schema import Settings


def roles_of(settings: Settings) -> tuple[Role, ...]:
    """Return the roles in the order in which they are written."""
    return tuple(
        Role(name=name, description=role.description, bindings=tuple(map(_binding, role.bindings)))
        for name, role in settings.roles.items()
    )


def routes_of(settings: Settings) -> tuple[Route, ...]:
    """Return the routes with their policies, in the order in which they are written."""
    limits = rate_limits_of(settings)
    return tuple(_route(route, settings, limits) for route in settings.routes)


def rate_limits_of(settings: Settings) -> dict[str, RateLimit]:
    """Return the rate limits by name."""
    return {
        name: RateLimit(
            name=name,
            per=Per(limit.per),
            count=limit.rate.count,
            window_s=limit.rate.window_s,
            burst=limit.rate.count if limit.burst is None else limit.burst,
            roles=frozenset(limit.roles),
        )
        for name, limit in settings.rate_limits.items()
    }


def door_limits_of(settings: Settings) -> tuple[RateLimit, ...]:
    """Return the rate limits that every request meets."""
    limits = rate_limits_of(settings)
    return tuple(limits[name] for name in settings.listen.rate_limits)


def upstreams_of(settings: Settings) -> tuple[Upstream, ...]:
    """Return the upstreams in the order in which they are written."""
    return tuple(upstream_of(name, upstream) for name, upstream in settings.upstreams.items())


def _binding(binding: schema.Binding) -> Binding:
    return Binding(
        issuer=binding.issuer,
        claims=dict(binding.claims),
        groups=frozenset(binding.groups),
        expires_at=binding.expires,
    )


def _route(route: schema.Route, settings: Settings, limits: Mapping[str, RateLimit]) -> Route:
    return Route(
        name=route.name,
        hosts=route.match.hosts,
        paths=route.match.paths,
        methods=frozenset(route.match.methods),
        upstream=route.upstream,
        audiences=frozenset(route.audiences),
        encoded_slashes=route.encoded_slashes,
        forward_credential=route.unsafe_forward_credential,
        max_body_bytes=route.max_body,
        max_in_flight=route.max_in_flight,
        rate_limits=tuple(limits[name] for name in route.rate_limits),
        timeouts=timeouts_on(route, settings.upstreams[route.upstream]),
        rewrite=rewrite_of(route.rewrite),
        upgrade=frozenset(route.upgrade),
        stream_idle_timeout_s=route.timeouts.idle,
        streams_outlive_token=route.unsafe_streams_outlive_token,
        policy=Policy(
            route=route.name,
            allow=tuple(map(_rule, route.allow)),
            deny=tuple(map(_rule, route.deny)),
            public=route.public,
        ),
    )


def _rule(rule: schema.Rule) -> Rule:
    return Rule(
        roles=frozenset(rule.roles),
        issuers=frozenset(rule.issuers),
        methods=frozenset(rule.methods),
        paths=rule.paths,
        claims=dict(rule.claims),
    )
