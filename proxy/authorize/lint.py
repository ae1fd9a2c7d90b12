"""
Everything that can be told about a configuration only once it is compiled, all at once.

An error keeps the configuration from loading; a warning names something that is allowed and rarely
meant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from proxy.authorize.finding import Finding
from proxy.authorize.lint_roles import Pinning, lint_roles
from proxy.authorize.lint_routes import lint_routes
from proxy.authorize.roles import RoleMapper, compile_binding
from proxy.model.policy import Binding, Role
from proxy.model.route import Route


def lint(
    roles: Sequence[Role],
    routes: Sequence[Route],
    pinning: Pinning,
    *,
    now: float,
    mutable: Mapping[str, frozenset[str]] | None = None,
) -> list[Finding]:
    """
    Return all findings, errors first; without an error everything compiles.

    By issuer alias, `pinning` has the id claims of which a binding must pin one, or None where the
    caller does not pick its audience, and `mutable` has claims that can be renamed there.
    """
    rules = [rule for route in routes for rule in (*route.policy.allow, *route.policy.deny)]
    # One bad binding must not hide what is wrong with the routes.
    mapper = RoleMapper(_without_broken_bindings(role) for role in roles)
    findings = lint_roles(roles, rules, pinning, mutable or {}, now) + lint_routes(routes, mapper)
    return sorted(findings, key=lambda finding: finding.severity != "error")


def _without_broken_bindings(role: Role) -> Role:
    return replace(role, bindings=tuple(binding for binding in role.bindings if _compiles(binding)))


def _compiles(binding: Binding) -> bool:
    try:
        compile_binding("", 0, binding)
    except ValueError:
        return False
    return True
