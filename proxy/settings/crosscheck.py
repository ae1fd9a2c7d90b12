"""
Relations between keys: references, names, and combinations that cannot be meant.

They are checked on the tree as written, not on the finished settings, so that they are reported
together with mistakes in single values. What has the wrong shape is passed over here; the schema
has reported it. Every function takes the tree and notes what it finds.
"""

from collections.abc import Iterator

from proxy.settings.document import Listing, Node, Scalar, Table
from proxy.settings.explain import came
from proxy.settings.fields import fields_at
from proxy.settings.listening import check_listening, socket_addresses
from proxy.settings.places import Places
from proxy.settings.problem import Collector, KeyPath, Place, did_you_mean, listed
from proxy.settings.quantities import seconds
from proxy.settings.schema import IdentityHeaders, Rule
from proxy.settings.secrets import Revealed

ANY = None
"""In a pattern: every name of a mapping, every position of a list."""

Pattern = tuple[str | None, ...]

_REFERENCES: tuple[tuple[Pattern, str, str], ...] = (
    (("roles", ANY, "bindings", ANY, "issuer"), "issuers", "an issuer"),
    (("routes", ANY, "upstream"), "upstreams", "an upstream"),
    (("routes", ANY, "allow", ANY, "roles", ANY), "roles", "a role"),
    (("routes", ANY, "deny", ANY, "roles", ANY), "roles", "a role"),
    (("routes", ANY, "allow", ANY, "issuers", ANY), "issuers", "an issuer"),
    (("routes", ANY, "deny", ANY, "issuers", ANY), "issuers", "an issuer"),
    (("routes", ANY, "rate_limits", ANY), "rate_limits", "a rate limit"),
    (("listen", "rate_limits", ANY), "rate_limits", "a rate limit"),
    (("rate_limits", ANY, "roles", ANY), "roles", "a role"),
)
_MOST_NAMES_LISTED = 8

# A pipe keeps only lines of up to 4 KiB apart, and records may be longer: two could end up in one another.
SEVERAL_ON_STDOUT = (
    "several workers would write their records into one another; write `file`, or `workers: 1`"
)


def crosscheck(root: Table, places: Places, problems: Collector) -> None:
    """Note everything that is wrong between keys."""
    _Crosscheck(root, places, problems).run()


def select(node: Node, pattern: Pattern, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Node]]:
    """Yield every node that `pattern` leads to, with its path."""
    if not pattern:
        yield path, node
        return
    first, rest = pattern[0], pattern[1:]
    if isinstance(node, Table):
        for name, entry in node.entries.items():
            if first is ANY or first == name:
                yield from select(entry.node, rest, (*path, name))
    elif isinstance(node, Listing) and first is ANY:
        for position, item in enumerate(node.items):
            yield from select(item, rest, (*path, position))


class _Crosscheck:
    """The checks, over one tree."""

    def __init__(self, root: Table, places: Places, problems: Collector) -> None:
        self._root = root
        self._places = places
        self._problems = problems

    def run(self) -> None:
        for pattern, section, what in _REFERENCES:
            self._references(pattern, section, what)
        self._unique(("issuers", ANY, "url"), "a URL")
        self._unique(("routes", ANY, "name"), "a name")
        self._audit()
        self._addresses()
        self._identity_headers()
        for path, issuer in self._tables(("issuers", ANY)):
            self._issuer(path, issuer)
        self._rate_limits()
        for path, binding in self._tables(("roles", ANY, "bindings", ANY)):
            if not ("claims" in binding.entries or "groups" in binding.entries):
                self._add(path, "expected `claims` or `groups`, got a binding that any token fits")
        for path, route in self._tables(("routes", ANY)):
            self._route(path, route)

    def _references(self, pattern: Pattern, section: str, what: str) -> None:
        defined = self._places.node((section,))
        known = tuple(defined.entries) if isinstance(defined, Table) else ()
        for path, node in select(self._root, pattern):
            name = _text(node)
            if name is None or isinstance(name, Revealed) or name in known:
                continue
            hint = did_you_mean(name, known)
            if not hint and len(known) <= _MOST_NAMES_LISTED:
                hint = f"; known: {listed(known)}" if known else f"; no {section} are defined"
            self._add(path, f"expected the name of {what}, got {came(node)}{hint}")

    def _unique(self, pattern: Pattern, what: str) -> None:
        first: dict[str, Place] = {}
        for path, node in select(self._root, pattern):
            value = _text(node)
            if value is None:
                continue
            if value in first:
                message = f"expected {what} of its own, got {came(node)}, which is at {first[value]}"
                self._add(path, message)
            first.setdefault(value, node.place)

    def _audit(self) -> None:
        for path, audit in self._tables(("audit",)):
            given = [name for name in ("file", "stdout") if _is_given(audit, name)]
            if len(given) != 1:
                self._add(
                    path,
                    f"expected one of `file` and `stdout: true`, got {'both' if given else 'neither'}",
                )
            if given == ["stdout"] and self._has_several_workers():
                self._add((*path, "stdout"), SEVERAL_ON_STDOUT)

    def _has_several_workers(self) -> bool:
        node = self._places.node(("workers",))
        return isinstance(node, Scalar) and not node.is_faulty and node.value not in (None, 1)

    def _addresses(self) -> None:
        listen = self._places.node(("listen",))
        check_listening(listen, self._add)
        written = self._places.node(("admin", "address"))
        for path, address in socket_addresses(listen):
            if address != (_text(written) or "127.0.0.1:9090") or address.endswith(":0"):
                continue
            at, other = (path, "admin") if written is None else (("admin", "address"), "listen")
            got = came(self._places.node(at))
            self._add(at, f"expected a port of its own, got {got}, which is that of `{other}`")

    def _identity_headers(self) -> None:
        taken: dict[str, str] = {}
        for name, field in IdentityHeaders.model_fields.items():
            path = ("identity_headers", name)
            header = _text(self._places.node(path)) or str(field.default)
            other = taken.setdefault(header.lower(), name)
            if other != name:
                self._add(path, f"expected a header of its own, got the one of `{other}`")

    def _issuer(self, path: KeyPath, issuer: Table) -> None:
        if _is_given(issuer, "jwks_url") and _is_given(issuer, "jwks_file"):
            self._add(path, "expected at most one of `jwks_url` and `jwks_file`, got both")
        for keys_path, keys in self._tables(("keys",), issuer, path):
            times = {name: _seconds(keys, name) for name in ("fresh_for", "stale_for")}
            if times["stale_for"] < times["fresh_for"]:
                self._add(keys_path, "expected `stale_for` to be at least as long as `fresh_for`, got less")

    def _route(self, path: KeyPath, route: Table) -> None:
        if _has_unknown_keys(path, route):
            return  # `alow` for `allow` is reported already
        rules = [name for name in ("allow", "deny") if _has_items(route, name)]
        if _is_given(route, "public"):
            if rules:
                self._add((*path, rules[0]), "a public route asks for no identity, so it can have no rules")
        elif not _has_items(route, "allow") and not _is_malformed(route, "allow"):
            self._add(path, "expected `allow` with at least one rule (or `public: true`), got none")
        for rule_path, rule in self._tables(("allow", ANY), route, path):
            if "roles" not in rule.entries and not _has_unknown_keys(rule_path, rule):
                self._add(rule_path, "expected `roles`: a rule that allows says whom")
        for rule_path, rule in self._tables(("deny", ANY), route, path):
            if not rule.entries:
                self._add(rule_path, f"expected one of {listed(Rule.model_fields)}, got an empty rule")

    def _rate_limits(self) -> None:
        """Note limits that could never hold where they are named."""
        for path, node in select(self._root, ("listen", "rate_limits", ANY)):
            limit = self._places.node(("rate_limits", _text(node) or ""))
            if not isinstance(limit, Table):
                continue
            if _text(_value(limit, "per")) != "client" or _has_items(limit, "roles"):
                message = "expected a limit that is `per: client` and for all roles: nobody is known yet"
                self._add(path, f"{message}, got {came(node)}")
        for path, route in self._tables(("routes", ANY)):
            for name_path, node in select(route, ("rate_limits", ANY), path):
                limit = self._places.node(("rate_limits", _text(node) or ""))
                if not isinstance(limit, Table) or not _is_given(route, "public"):
                    continue
                if _text(_value(limit, "per")) in ("identity", "role") or _has_items(limit, "roles"):
                    message = "a public route knows no identity: expected a limit per client or per route"
                    self._add(name_path, f"{message}, for all roles, got {came(node)}")

    def _tables(
        self, pattern: Pattern, node: Node | None = None, path: KeyPath = ()
    ) -> Iterator[tuple[KeyPath, Table]]:
        for found, table in select(node or self._root, pattern, path):
            if isinstance(table, Table):
                yield found, table

    def _add(self, path: KeyPath, message: str) -> None:
        self._problems.add(self._places.place(path), self._places.key(path), message)


def _text(node: Node | None) -> str | None:
    """Return the text of a scalar; None for anything else, and where `resolve` has complained."""
    if not isinstance(node, Scalar) or node.is_faulty or not isinstance(node.value, str):
        return None
    return node.value


def _value(table: Table, name: str) -> Node | None:
    entry = table.entries.get(name)
    return entry.node if entry is not None else None


def _is_given(table: Table, name: str) -> bool:
    """Return whether `name` says something: not missing, nothing or false."""
    node = _value(table, name)
    return node is not None and not (isinstance(node, Scalar) and node.value in (None, False))


def _has_items(table: Table, name: str) -> bool:
    node = _value(table, name)
    return isinstance(node, Listing) and bool(node.items)


def _is_malformed(table: Table, name: str) -> bool:
    node = _value(table, name)
    return node is not None and not isinstance(node, Listing)


def _has_unknown_keys(path: KeyPath, table: Table) -> bool:
    return not table.entries.keys() <= fields_at(path).keys()


def _seconds(keys: Table, name: str) -> float:
    text = _text(_value(keys, name)) or {"fresh_for": "10m", "stale_for": "24h"}[name]
    try:
        return seconds(text)
    except ValueError:
        # The schema complains about the value; nothing can be said about the relation.
        return float("nan")
