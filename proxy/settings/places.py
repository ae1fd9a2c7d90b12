"""
From a key path to the place in a file, for whatever finds a problem later.

A path is the names and positions that lead to a value: `("roles", "deployer", "bindings", 0)`. A
route may be named instead of counted: `("routes", "deployments")`. A mapping or list is placed
where its key stands, a single value where the value stands. A path that is not written, because
a default holds, is placed at the nearest one above that is.
"""

from collections import Counter
from functools import cached_property

from proxy.settings.document import Listing, Node, Scalar, Table
from proxy.settings.problem import KeyPath, Place, dotted
from proxy.settings.secrets import Revealed

_NOWHERE = Place("configuration", 1, 1)


class Places:
    """Answers where a key stands; empty where settings were not read from a file."""

    def __init__(self, root: Table | None = None) -> None:
        self._root = root if root is not None else Table(_NOWHERE)

    def place(self, path: KeyPath) -> Place:
        """Return the place of what `path` leads to."""
        node, key_place, _ = self._walk(path)
        return node.place if isinstance(node, Scalar) else key_place

    def key_place(self, path: KeyPath) -> Place:
        """Return the place of the key itself, also where its value is a single one."""
        return self._walk(path)[1]

    def node(self, path: KeyPath) -> Node | None:
        """Return the node that `path` leads to, or None if it is not written."""
        node, _, depth = self._walk(path)
        return node if depth == len(path) else None

    def key(self, path: KeyPath) -> str:
        """Return `path` as people write it, a route by its name."""
        if len(path) > 1 and path[0] == "routes" and isinstance(path[1], int):
            name = name_of(self.node(path[:2]))
            # A name given twice would send the reader to the wrong one of the two.
            if name is not None and self._route_names[name] == 1 and name.isprintable():
                return dotted(("routes", name, *path[2:]))
        return dotted(path)

    @cached_property
    def _route_names(self) -> Counter[str]:
        routes = _child(self._root, "routes")
        items = routes[0].items if routes is not None and isinstance(routes[0], Listing) else []
        return Counter(name for item in items if (name := name_of(item)) is not None)

    def _walk(self, path: KeyPath) -> tuple[Node, Place, int]:
        """Return the deepest node on `path` that is written, the place of its key, and how deep it is."""
        node: Node = self._root
        place = node.place
        for depth, part in enumerate(path):
            child = _child(node, part)
            if child is None:
                return node, place, depth
            node, place = child
        return node, place, len(path)


def _child(node: Node, part: str | int) -> tuple[Node, Place] | None:
    if isinstance(node, Table):
        entry = node.entries.get(str(part))
        return (entry.node, entry.place) if entry is not None else None
    if isinstance(node, Listing):
        if isinstance(part, int):
            item = node.items[part] if 0 <= part < len(node.items) else None
        else:
            item = next((item for item in node.items if name_of(item) == part), None)
        return (item, item.place) if item is not None else None
    return None


def name_of(node: Node | None) -> str | None:
    """Return the `name` that a mapping states in plain sight, or None."""
    if not isinstance(node, Table) or "name" not in node.entries:
        return None
    name = node.entries["name"].node
    if not isinstance(name, Scalar) or not isinstance(name.value, str) or isinstance(name.value, Revealed):
        return None
    return name.value
