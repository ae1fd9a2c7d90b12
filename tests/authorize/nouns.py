"""The nouns of the tests, with everything filled in that a case does not speak of."""

from collections.abc import Iterable, Mapping
from typing import Final

from proxy.model.identity import Identity, IdentityKind
from proxy.model.policy import Binding, Contains, OneOf, Policy, Prefix, Role, Rule, Scalar
from proxy.model.request import Request
from proxy.model.route import Route

NOW: Final = 1_790_000_000.0


def one_of(*values: Scalar) -> OneOf:
    return OneOf(values=values)


def contains(*values: Scalar) -> Contains:
    return Contains(values=values)


def prefix(text: str, separator: str = "/") -> Prefix:
    return Prefix(prefix=text, separator=separator)


def an_identity(
    *roles: str,
    issuer: str = "gitlab",
    claims: Mapping[str, object] | None = None,
    groups: frozenset[str] | None = None,
    subject: str = "project_path:platform/deployer:ref_type:branch:ref:main",
) -> Identity:
    return Identity(
        issuer=issuer,
        subject=subject,
        kind=IdentityKind.WORKLOAD,
        roles=frozenset(roles),
        claims=claims or {},
        audiences=frozenset({"https://proxy.example.com"}),
        groups=groups,
        session=None,
        actor=None,
        expires_at=NOW + 300,
        header_lines=b"",
        audit_fields="",
    )


def a_request(method: str = "GET", path: str = "/", host: str = "api.example.com") -> Request:
    return Request(
        method=method,
        host=host,
        path=path,
        authority=host.encode(),
        target=path.encode(),
        has_encoded_slash="%2F" in path,
        credential=None,
        client="127.0.0.1",
    )


def a_route(
    name: str,
    *paths: str,
    hosts: Iterable[str] = (),
    methods: Iterable[str] = (),
    policy: Policy | None = None,
) -> Route:
    return Route(
        name=name,
        paths=paths,
        hosts=tuple(hosts),
        methods=frozenset(methods),
        upstream="backend",
        policy=policy or Policy(route=name),
    )


def a_role(name: str, *bindings: Binding) -> Role:
    return Role(name=name, bindings=bindings)


def allowing(route: str, *roles: str) -> Policy:
    return Policy(route=route, allow=(Rule(roles=frozenset(roles)),))
