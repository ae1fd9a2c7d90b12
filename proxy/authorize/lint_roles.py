"""
Roles and bindings that do not compile, or give a role to somebody nobody thought of.

Law: where the caller picks the audience of its token, the audience proves intent and not identity,
and anybody with an account at the same provider holds a valid token for us. A binding on such an
issuer is an error unless it pins one of the ids that the provider hands out.
"""

from collections.abc import Iterable, Mapping, Set

from proxy.authorize.finding import Finding, KeyPath, error, warning
from proxy.authorize.moment import rfc3339
from proxy.authorize.pointer import top_level_name
from proxy.authorize.roles import compile_binding
from proxy.model.policy import Binding, OneOf, Prefix, Role, Rule

Pinning = Mapping[str, frozenset[str] | None]
"""For each issuer the id claims of which a binding pins one; None where the caller has no say."""

# Names that their owner, or whoever takes over the name, can change. What was renamed away is free
# for the next one, who then has the role.
MUTABLE = frozenset(
    {
        "actor",
        "email",
        "login",
        "name",
        "namespace_path",
        "nickname",
        "preferred_username",
        "project_path",
        "repository",
        "repository_owner",
        "unique_name",
        "upn",
        "user_email",
        "user_login",
        "username",
    }
)


def lint_roles(
    roles: Iterable[Role],
    rules: Iterable[Rule],
    pinning: Pinning,
    mutable: Mapping[str, frozenset[str]],
    now: float,
) -> list[Finding]:
    """Return what is wrong with the roles; `rules` are all that may use them."""
    used = frozenset[str]().union(*(rule.roles for rule in rules))
    findings: list[Finding] = []
    for role in roles:
        path: KeyPath = ("roles", role.name)
        if not role.bindings:
            findings.append(warning(path, f"role `{role.name}` has no binding, so nobody has it"))
        if role.name not in used:
            findings.append(warning(path, f"role `{role.name}` is used by no rule"))
        for index, binding in enumerate(role.bindings):
            ids, names = pinning.get(binding.issuer), mutable.get(binding.issuer, frozenset())
            findings += _binding(role.name, index, binding, ids, MUTABLE | names, now)
    return findings


def _binding(
    role: str, index: int, binding: Binding, ids: frozenset[str] | None, mutable: frozenset[str], now: float
) -> Iterable[Finding]:
    path: KeyPath = ("roles", role, "bindings", index)
    try:
        names = compile_binding(role, index, binding).names
    except ValueError as problem:
        yield error(path, str(problem))
        return
    if binding.expires_at is not None and now >= binding.expires_at:
        yield warning(path, f"the binding ended at {rfc3339(binding.expires_at)} and gives nothing")
    if ids is not None and not _pinned(binding) & ids:
        yield error(
            path,
            f"anybody at issuer `{binding.issuer}` can have a token for our audience; the binding must"
            f" compare one of {_listed(ids)} with exact values",
        )
    if binding.claims and not binding.groups and len(names) == len(binding.claims) and names <= mutable:
        yield warning(
            path, f"the binding rests on {_listed(names)} alone, which can be renamed; compare an id as well"
        )
    yield from _claims(path, binding, names)


def _pinned(binding: Binding) -> Set[str]:
    """Return the claims that are compared with exact values, by name or, further down, by pointer."""
    exact = (name for name, matcher in binding.claims.items() if isinstance(matcher, OneOf))
    return {top_level_name(name) or name for name in exact}


def _claims(path: KeyPath, binding: Binding, names: frozenset[str]) -> Iterable[Finding]:
    """Warn of claims that do not mean what they seem to mean."""
    matchers = {top_level_name(name): matcher for name, matcher in binding.claims.items()}
    if isinstance(matchers.get("sub"), Prefix):
        # GitLab and GitHub let each project choose the layout of `sub`.
        yield warning(
            path, "the layout of `sub` is configurable and changes; compare the claims it is made of instead"
        )
    ref = matchers.get("ref")
    is_short = isinstance(ref, OneOf) and not all(str(value).startswith("refs/") for value in ref.values)
    if is_short and not names & {"ref_type", "ref_path"}:
        yield warning(
            path, "`ref` matches a branch as well as a tag of that name; compare `ref_type` as well"
        )


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in sorted(values))
