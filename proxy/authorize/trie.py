"""
The most specific path pattern for a request, from a tree of dictionaries.

Order, segment by segment from the left: exact before `*` before `**`. The first difference decides,
so for one path no two different patterns are equally specific.

Law: a lookup visits each node at most once, and `steps` is an upper bound of the nodes that any
path can make it visit. A tree past `MAX_STEPS` is refused when it is built: without that bound a
set of patterns such as every mixture of `a` and `*` would let one request walk through all of them.
"""

from typing import Final, Generic, TypeVar

from proxy.authorize.patterns import PathPattern, split_path
from proxy.model.method import COMMON_METHODS

T = TypeVar("T")

MAX_STEPS: Final = 512
"""Nodes one lookup may visit. Ordinary configurations need 3 to 20; 512 cost some 50 µs."""


class Untaken:
    """Says that a place is owned by somebody who does not take the method."""


UNTAKEN: Final = Untaken()


class Leaf(Generic[T]):
    """What ends at one pattern: a value for each named method, and one for other common ones."""

    __slots__ = ("any_method", "by_method")

    def __init__(self) -> None:
        self.by_method: dict[str, T] = {}
        self.any_method: T | None = None

    def find(self, method: str) -> T | Untaken | None:
        """
        Return the value for a method, or None if whoever stands here takes only others.

        Who names no methods owns its place: what it does not take there, nobody less specific takes, or
        an uncommon method would slip to a route that was not written for this place.
        """
        found = self.by_method.get(method)
        if found is not None or self.any_method is None:
            return found
        return self.any_method if method in COMMON_METHODS else UNTAKEN


class Node(Generic[T]):
    """One place in the tree: the segments that may follow, and what ends here."""

    __slots__ = ("exact", "here", "rest", "wildcard")

    def __init__(self) -> None:
        self.exact: dict[str, Node[T]] = {}
        self.wildcard: Node[T] | None = None
        self.here: Leaf[T] | None = None
        self.rest: Leaf[T] | None = None


class PathTrie(Generic[T]):
    """Patterns with a value each; `find` gives the value of the most specific one."""

    __slots__ = ("_depth", "_root")

    def __init__(self) -> None:
        self._root: Node[T] = Node()
        self._depth = 0

    def leaf(self, pattern: PathPattern) -> Leaf[T]:
        """Return the place where the pattern ends, made if it is new."""
        node = self._root
        for segment in pattern.segments:
            if segment is not None:
                node = node.exact.setdefault(segment, Node())
                continue
            if node.wildcard is None:
                node.wildcard = Node()
            node = node.wildcard
        self._depth = max(self._depth, len(pattern.segments))
        if pattern.rest:
            node.rest = node.rest or Leaf()
            return node.rest
        node.here = node.here or Leaf()
        return node.here

    def find(self, path: str, method: str) -> T | Untaken | None:
        """Return the value of the most specific pattern that takes it, or UNTAKEN if nobody else may."""
        # One piece more than the deepest pattern has tells that the path is longer; how much
        # longer is the client's affair and must not cost us anything.
        segments = split_path(path, self._depth)
        if segments is None:
            return None
        found = _search(self._root, segments, 0, method)
        return found  # noqa: RET504 - inferred from what is returned, T would be another one

    def steps(self) -> int:
        """Return how many nodes a lookup visits at most, whatever the path."""
        return _steps(self._root)

    def check_bound(self, what: str) -> None:
        """Raise ValueError where one lookup in the patterns of `what` could take too long."""
        if (steps := self.steps()) > MAX_STEPS:
            raise ValueError(
                f"the paths of {what} mix `*` and names at so many levels that one request could take"
                f" {steps} comparisons, more than {MAX_STEPS}; use fewer patterns with `*` or a `**`"
            )


def _search(node: Node[T], segments: list[str], depth: int, method: str) -> T | Untaken | None:
    if depth == len(segments):
        leaf = node.here
        if leaf is not None and (found := leaf.find(method)) is not None:
            return found
    else:
        segment = segments[depth]
        child = node.exact.get(segment)
        if child is not None and (found := _search(child, segments, depth + 1, method)) is not None:
            return found
        child = node.wildcard if segment else None
        if child is not None and (found := _search(child, segments, depth + 1, method)) is not None:
            return found
    leaf = node.rest
    return None if leaf is None else leaf.find(method)


def _steps(node: Node[T]) -> int:
    # A path takes one exact child at most, so of the exact children only the dearest counts.
    exact = max(map(_steps, node.exact.values()), default=0)
    return 1 + exact + (0 if node.wildcard is None else _steps(node.wildcard))
