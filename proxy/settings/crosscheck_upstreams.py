"""
Relations between the keys of upstreams, and of routes that change how they are asked.

As in `crosscheck`, the tree is checked as written, and what has the wrong shape is passed over.
"""

from collections.abc import Iterator

from proxy.settings.crosscheck import ANY, Pattern, select
from proxy.settings.document import Listing, Node, Scalar, Table
from proxy.settings.explain import came
from proxy.settings.origins import MAX_ENDPOINTS, endpoint_of
from proxy.settings.places import Places
from proxy.settings.problem import Collector, KeyPath


def crosscheck_upstreams(root: Table, places: Places, problems: Collector) -> None:
    """Note everything that is wrong between keys of upstreams and routes."""

    def add(path: KeyPath, message: str) -> None:
        problems.add(places.place(path), places.key(path), message)

    for path, upstream in _tables(root, ("upstreams", ANY)):
        for where, message in (*_urls(upstream), *_tls(upstream)):
            add((*path, *where), message)
    for path, route in _tables(root, ("routes", ANY)):
        for where, message in _rewrite(route):
            add((*path, *where), message)


Finding = tuple[KeyPath, str]


def _urls(upstream: Table) -> Iterator[Finding]:
    given = [name for name in ("url", "urls") if _is_given(upstream, name)]
    if len(given) != 1:
        yield (), f"expected one of `url` and `urls`, got {'both' if given else 'neither'}"
    urls = _at(upstream, "urls")
    if not isinstance(urls, Listing):
        return
    if len(urls.items) > MAX_ENDPOINTS:
        yield ("urls",), f"expected at most {MAX_ENDPOINTS} endpoints, got {len(urls.items)}"
    first: dict[str, Node] = {}
    for position, item in enumerate(urls.items):
        address = _address(_text(item))
        if address is not None and first.setdefault(address, item) is not item:
            where = first[address].place
            yield (
                ("urls", position),
                f"expected an address of its own, got {came(item)}, which is that of {where}",
            )


def _address(url: str | None) -> str | None:
    """Return what `url` is called in records and metrics, or None if it is no URL."""
    try:
        return None if url is None else endpoint_of(url).address
    except (KeyError, ValueError):
        return None  # the schema complains about it


def _tls(upstream: Table) -> Iterator[Finding]:
    tls = _at(upstream, "tls")
    if not isinstance(tls, Table):
        return
    urls = _at(upstream, "urls")
    written = [_at(upstream, "url"), *(urls.items if isinstance(urls, Listing) else ())]
    texts = [text for node in written if (text := _text(node)) is not None]
    if texts and not any(text.startswith("https://") for text in texts):
        yield ("tls",), "expected an `https://` URL beside it, got none: nothing would be encrypted"
    if _is_given(tls, "key_file") and not _is_given(tls, "certificate_file"):
        yield ("tls",), "expected `certificate_file` beside `key_file`, got the key alone"


def _rewrite(route: Table) -> Iterator[Finding]:
    rewrite, match = _at(route, "rewrite"), _at(route, "match")
    if not isinstance(rewrite, Table) or not isinstance(match, Table):
        return
    strip, paths = _text(_at(rewrite, "strip_prefix")), _at(match, "paths")
    if strip is None or not isinstance(paths, Listing):
        return
    for position, node in enumerate(paths.items):
        path = _text(node)
        if path is not None and path != strip and not path.startswith(f"{strip}/"):
            where = ("match", "paths", position)
            yield where, f"expected a path that begins with `strip_prefix`, `{strip}`, got {came(node)}"


def _tables(root: Table, pattern: Pattern) -> Iterator[tuple[KeyPath, Table]]:
    for path, node in select(root, pattern):
        if isinstance(node, Table):
            yield path, node


def _at(table: Table, name: str) -> Node | None:
    entry = table.entries.get(name)
    return None if entry is None else entry.node


def _is_given(table: Table, name: str) -> bool:
    node = _at(table, name)
    return node is not None and not (isinstance(node, Scalar) and node.value is None)


def _text(node: Node | None) -> str | None:
    if not isinstance(node, Scalar) or node.is_faulty or not isinstance(node.value, str):
        return None
    return node.value
