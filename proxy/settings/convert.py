"""Settings become the nouns of `model`; nothing is checked here, since `load` has."""

from proxy.model.policy import Binding, Policy, Role, Rule
from proxy.model.route import Route
from proxy.model.upstream import Upstream
from proxy.settings import schema
from proxy.settings.schema import Settings


def roles_of(settings: Settings) -> tuple[Role, ...]:
    """Return the roles in the order in which they are written."""
    return tuple(
        Role(name=name, description=role.description, bindings=tuple(map(_binding, role.bindings)))
        for name, role in settings.roles.items()
    )


def routes_of(settings: Settings) -> tuple[Route, ...]:
    """Return the routes with their policies, in the order in which they are written."""
    return tuple(_route(route) for route in settings.routes)


def upstreams_of(settings: Settings) -> tuple[Upstream, ...]:
    """Return the upstreams in the order in which they are written."""
    return tuple(_upstream(name, upstream) for name, upstream in settings.upstreams.items())


def _binding(binding: schema.Binding) -> Binding:
    return Binding(
        issuer=binding.issuer,
        claims=dict(binding.claims),
        groups=frozenset(binding.groups),
        expires_at=binding.expires,
    )


def _route(route: schema.Route) -> Route:
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


def _upstream(name: str, upstream: schema.Upstream) -> Upstream:
    return Upstream(
        name=name,
        host=upstream.host,
        port=upstream.port,
        max_connections=upstream.max_connections,
        max_waiting=upstream.max_waiting,
        connect_timeout_s=upstream.timeouts.connect,
        response_timeout_s=upstream.timeouts.response,
        body_idle_timeout_s=upstream.timeouts.body_idle,
        keep_alive_s=upstream.timeouts.keep_alive,
    )
