"""
Which route a request belongs to.

Order: an exact host before `*.example.com` before any host; then the most specific path; then a
route that names the method before one that names none, which takes the common ones. Where the most
specific place does not take the request, the next less specific one is asked, but not behind a route
that names no methods: the place is its own, and what it does not take there is refused. The order of
definition means nothing: two routes that are equally specific for the same request are a conflict and do
not load.

What is remembered of lookups is for `routes` of `make bench`: ten thousand cost as much as ten.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Generic, TypeVar

from proxy.authorize.patterns import HostPattern, PathPattern, parse_host, parse_path
from proxy.authorize.trie import PathTrie, Untaken
from proxy.model.method import COMMON_METHODS
from proxy.model.route import Route

T = TypeVar("T")

ANY_METHOD: Final = ""
"""Stands for every common method that no route of the same host and path names; no request has it."""


# Requests go to the same few places again. Their paths are chosen by clients, and must not fill our memory.
MAX_KNOWN: Final = 2048
MAX_KNOWN_CHARS: Final = 512


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two routes that match the same requests equally well."""

    first: Route
    second: Route
    message: str


@dataclass(frozen=True, slots=True)
class Place:
    """One host and path that a route stands at; `host` None means any host."""

    host: HostPattern | None
    path: PathPattern

    def __str__(self) -> str:
        return f"{self.path}" if self.host is None else f"{self.host}{self.path}"


class RouteTable(Generic[T]):
    """Every route with a value each, found by host, path and method in time that routes do not lengthen."""

    __slots__ = ("_any", "_below", "_exact", "_known", "entries")

    def __init__(self, entries: tuple[tuple[Route, T], ...]) -> None:
        self.entries = entries
        self._exact: dict[str, PathTrie[T]] = {}
        self._below: dict[str, PathTrie[T]] = {}
        self._any: PathTrie[T] = PathTrie()
        self._known: dict[tuple[str, str, str], T] = {}

    @classmethod
    def build(cls, entries: Iterable[tuple[Route, T]]) -> "RouteTable[T]":
        """Return the table; ValueError names every conflict, one a line. Values are not None."""
        table = cls(tuple(entries))
        found = conflicts(route for route, _ in table.entries)
        if found:
            raise ValueError("\n".join(conflict.message for conflict in found))
        for route, value in table.entries:
            for place in places(route):
                leaf = table._trie(place.host).leaf(place.path)
                leaf.by_method.update(dict.fromkeys(route.methods, value))
                leaf.any_method = leaf.any_method if route.methods else value
        table._check_bounds()
        return table

    def find(self, host: str, path: str, method: str) -> T | None:
        """Return the value of the most specific route for the request, None if there is none."""
        found = self._known.get((host, path, method))
        if found is None:
            searched = self._search(host, path, method)
            found = None if isinstance(searched, Untaken) else searched
            if found is not None and len(host) + len(path) + len(method) <= MAX_KNOWN_CHARS:
                if len(self._known) >= MAX_KNOWN:
                    self._known.clear()
                self._known[host, path, method] = found
        return found

    def _search(self, host: str, path: str, method: str) -> T | Untaken | None:
        trie = self._exact.get(host)
        if trie is not None and (found := trie.find(path, method)) is not None:
            return found
        if self._below:
            label, _, parent = host.partition(".")
            trie = self._below.get(parent)
            if trie is not None and label and (found := trie.find(path, method)) is not None:
                return found
        return self._any.find(path, method)

    def _trie(self, host: HostPattern | None) -> PathTrie[T]:
        if host is None:
            return self._any
        tries = self._below if host.wildcard else self._exact
        return tries.setdefault(host.name, PathTrie())

    def _check_bounds(self) -> None:
        self._any.check_bound("routes for any host")
        for name, trie in self._exact.items():
            trie.check_bound(f"host `{name}`")
        for name, trie in self._below.items():
            trie.check_bound(f"host `*.{name}`")


def places(route: Route) -> Iterator[Place]:
    """Give every place of the route once, in canonical form; ValueError for a bad pattern."""
    hosts: list[HostPattern | None] = [parse_host(host) for host in route.hosts]
    paths = [parse_path(path) for path in route.paths]
    # A dictionary and not a set: messages come in the order of the configuration.
    yield from dict.fromkeys(Place(host, path) for host in hosts or [None] for path in paths)


def conflicts(routes: Iterable[Route]) -> list[Conflict]:
    """
    Return every pair of routes of which neither is the more specific one.

    Only identical places conflict: for any one path, two different patterns that both match it
    differ at some segment, and there the more exact one wins.
    """
    known = list(routes)
    owners: dict[tuple[Place, str], int] = {}
    shared: dict[tuple[int, int], tuple[Place, list[str]]] = {}
    for index, route in enumerate(known):
        for place in places(route):
            for method in sorted(route.methods) or [ANY_METHOD]:
                owner = owners.setdefault((place, method), index)
                if owner != index:
                    where, methods = shared.setdefault((owner, index), (place, []))
                    methods += [method] if where == place else []
    return [_conflict(known[one], known[two], *case) for (one, two), case in shared.items()]


class Miss(IntEnum):
    """What kept a route from matching, the nearest miss first."""

    METHOD = 0
    PATH = 1
    HOST = 2


def mismatch(route: Route, host: str, path: str, method: str) -> tuple[Miss, str] | None:
    """Return what kept the route from matching and why, None if it matches."""
    hosts = [parse_host(pattern) for pattern in route.hosts]
    if hosts and not any(pattern.matches(host) for pattern in hosts):
        return Miss.HOST, f"host `{host}` is not {_alternatives(map(str, hosts))}"
    paths = [parse_path(pattern) for pattern in route.paths]
    if not any(pattern.matches(path) for pattern in paths):
        return Miss.PATH, f"path `{path}` is not {_alternatives(map(str, paths))}"
    if method not in (route.methods or COMMON_METHODS):
        if not route.methods:
            return Miss.METHOD, f"method `{method}` is not a common one, and the route does not name it"
        return Miss.METHOD, f"method `{method}` is not {_alternatives(sorted(route.methods))}"
    return None


def _conflict(first: Route, second: Route, place: Place, methods: list[str]) -> Conflict:
    what = (
        "every common method" if methods == [ANY_METHOD] else ", ".join(f"`{method}`" for method in methods)
    )
    message = (
        f"routes `{first.name}` and `{second.name}` match {what} on `{place}` equally well;"
        " give one of them another host, path or method"
    )
    return Conflict(first, second, message)


def _alternatives(values: Iterable[str]) -> str:
    return " or ".join(f"`{value}`" for value in values)
