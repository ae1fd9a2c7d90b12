"""
Routes and rules that do not compile, contradict each other, or protect less than they seem to.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from proxy.authorize.compile import compile_policy, compile_rule, rule_name
from proxy.authorize.finding import Finding, error, warning
from proxy.authorize.patterns import parse_path
from proxy.authorize.roles import RoleMapper
from proxy.authorize.routing import Place, RouteTable, conflicts, places
from proxy.authorize.rules import Effect
from proxy.model.method import COMMON_METHODS
from proxy.model.policy import Rule
from proxy.model.route import Route

# Stand for any segment and any label of a host: nobody writes them in a route.
_SOME_SEGMENT = "~any~"
_SOME_LABEL = "any-label"


def lint_routes(routes: Sequence[Route], mapper: RoleMapper) -> list[Finding]:
    """Return what is wrong with the routes, all at once."""
    findings = [finding for route in routes for finding in _patterns(route)]
    usable = [route for route in routes if not any(_patterns(route))]
    for route in usable:
        findings += _policy(route, mapper)
    return findings + list(_table(usable))


def _patterns(route: Route) -> Iterator[Finding]:
    """Report patterns that cannot be read, each on its own."""
    if not route.paths:
        yield error(("routes", route.name), f"route `{route.name}` has no path; use `/**` for all")
    alone = [replace(route, hosts=(host,), paths=("/",)) for host in route.hosts]
    alone += [replace(route, hosts=(), paths=(path,)) for path in route.paths]
    for one in alone:
        try:
            list(places(one))
        except ValueError as problem:
            yield error(("routes", route.name), f"route `{route.name}`: {problem}")


def _policy(route: Route, mapper: RoleMapper) -> Iterator[Finding]:
    """Report rules that do not compile, and rules that no request of the route can meet."""
    if route.policy.public:
        try:
            compile_policy(route.policy, mapper)
        except ValueError as problem:
            yield error(("routes", route.name), str(problem))
        return
    yield from _rules(route, Effect.ALLOW, route.policy.allow, mapper)
    yield from _rules(route, Effect.DENY, route.policy.deny, mapper)


def _rules(route: Route, effect: Effect, rules: Sequence[Rule], mapper: RoleMapper) -> Iterator[Finding]:
    for index, rule in enumerate(rules):
        path = ("routes", route.name, effect.value, index)
        name = rule_name(route.name, effect, index)
        try:
            compile_rule(name, effect, rule, mapper)
        except ValueError as problem:
            yield error(path, str(problem))
            continue
        if rule.methods and rule.methods.isdisjoint(route.methods or COMMON_METHODS):
            yield warning(path, f"rule `{name}` never holds: the route takes none of its methods")
        served = [parse_path(text) for text in route.paths]
        for text in rule.paths:
            if not any(parse_path(text).overlaps(pattern) for pattern in served):
                yield warning(path, f"rule `{name}` names path `{text}`, which the route does not serve")


def _table(routes: Sequence[Route]) -> Iterator[Finding]:
    """Report conflicts; where there are none, the methods that slip to a broader route."""
    found = conflicts(routes)
    for conflict in found:
        yield error(("routes", conflict.second.name), conflict.message)
    if found:
        return
    try:
        table = RouteTable.build((route, route) for route in routes)
    except ValueError as problem:
        yield error(("routes",), str(problem))
        return
    yield from _shadows(routes, table)


def _shadows(routes: Sequence[Route], table: RouteTable[Route]) -> Iterator[Finding]:
    methods = sorted(COMMON_METHODS.union(*(route.methods for route in routes)))
    served = {route.name: tuple(places(route)) for route in routes}
    for route in routes:
        told: set[str] = set()
        for place in served[route.name] if route.methods else ():
            for method in methods:
                broader = table.find(_host_at(place), _path_at(place), method)
                if broader is None or place in served[broader.name] or broader.name in told:
                    continue
                told.add(broader.name)
                yield _shadow(route, place, broader)


def _shadow(route: Route, place: Place, broader: Route) -> Finding:
    taken = ", ".join(f"`{method}`" for method in sorted(route.methods))
    public = ", which is public" if broader.policy.public else ""
    message = (
        f"route `{route.name}` takes only {taken} on `{place}`; other methods there belong to the broader"
        f" route `{broader.name}`{public}"
    )
    return warning(("routes", route.name), message)


def _path_at(place: Place) -> str:
    segments: Iterable[str] = (_SOME_SEGMENT if part is None else part for part in place.path.segments)
    return "/" + "/".join([*segments, _SOME_SEGMENT] if place.path.rest else segments)


def _host_at(place: Place) -> str:
    if place.host is None:
        return ""
    return f"{_SOME_LABEL}.{place.host.name}" if place.host.wildcard else place.host.name
