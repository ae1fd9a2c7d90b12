"""
YAML and JSON text become nodes that know where they stand.

What is read is a small, safe part of YAML, by libyaml's parser and our own composer:

- one UTF-8 document per file, at most `MAX_FILE_BYTES`, `MAX_DEPTH` levels and `MAX_NODES` nodes;
- an alias (`*name`) repeats what its anchor (`&name`) holds; together they may repeat
  `MAX_ALIASED_NODES` nodes, so that a few lines cannot become gigabytes;
- a file that ends in `.json` may in addition escape characters as surrogate pairs (RFC 8259, 7);
- no character ends a line to one reader and is text to the next (U+0085, U+2028, U+2029).

Composing from events rather than with `yaml.compose` stops at the first level too deep: libyaml's
own composer recurses in C, and its scanner takes quadratic time on deep brackets.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
)

from proxy.settings.problem import Place, Problem, SettingsError, printable

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 250_000
MAX_ALIASED_NODES = 10_000

# These end a line to YAML 1.1, and libyaml, and are ordinary characters to YAML 1.2 and JSON.
_SEPARATOR = re.compile("[\x85\u2028\u2029]")

# In JSON a backslash stands only inside strings, so a scan from escape to escape stays in step.
_JSON_ESCAPE = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL)


@dataclass(slots=True, eq=False)
class Scalar:
    """A single value as written; `value` is set by `resolve`, as is `is_faulty` if it has none."""

    place: Place
    text: str
    is_plain: bool
    tag: str | None = None
    value: str | int | float | bool | None = None
    is_faulty: bool = False


@dataclass(slots=True, eq=False)
class Listing:
    """A list of nodes."""

    place: Place
    tag: str | None = None
    items: list["Node"] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Table:
    """A mapping: `pairs` as written; `entries`, by name, is set by `resolve`."""

    place: Place
    tag: str | None = None
    pairs: list[tuple["Node", "Node"]] = field(default_factory=list)
    entries: dict[str, "Entry"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One line of a table: where its key stands, and its value."""

    place: Place
    node: "Node"


Node = Scalar | Listing | Table


def compose(content: bytes, file: str) -> Node:
    """Return the one document in `content`; raise `SettingsError` at the first thing unreadable."""
    text = _decoded(content, file)
    if file.endswith(".json"):
        text = _as_yaml(text)
    elif (separator := _SEPARATOR.search(text)) is not None:
        place = _place_after(text[: separator.start()], file)
        raise _failure(
            place, f'expected `\\n` to end lines; in text write `"{_escaped(separator)}"`, in quotes'
        )
    try:
        root = _Composer(file).compose(yaml.parse(text, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, file) from None
    except yaml.reader.ReaderError as error:
        raise _failure(_place_of_byte(content, error.position, file), f"{error.reason}") from None
    if root is None:
        raise _failure(Place(file, 1, 1), "expected a configuration, got an empty file")
    return root


@dataclass(slots=True)
class _Open:
    """A table or list whose end has not come yet."""

    node: Table | Listing
    anchor: str | None
    nodes_before: int
    key: Node | None = None
    height: int = 1


class _Composer:
    """Builds nodes from parser events and counts while it does."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._root: Node | None = None
        self._open: list[_Open] = []
        # Each anchored node with the number of its nodes and levels; None while it is still open.
        self._anchors: dict[str, tuple[Node, int, int] | None] = {}
        self._nodes = 0
        self._aliased = 0

    def compose(self, events: Iterator[Event]) -> Node | None:
        for event in events:
            if isinstance(event, ScalarEvent):
                self._scalar(event)
            elif isinstance(event, CollectionStartEvent):
                self._start(event)
            elif isinstance(event, CollectionEndEvent):
                self._end()
            elif isinstance(event, AliasEvent):
                self._alias(event)
            elif isinstance(event, DocumentStartEvent) and self._root is not None:
                raise _failure(self._place(event), "expected one document in a file, got a second one")
        return self._root

    def _scalar(self, event: ScalarEvent) -> None:
        node = Scalar(self._place(event), event.value, event.implicit[0], event.tag)
        self._count(event, 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, 1, 0)
        self._attach(node, height=0)

    def _start(self, event: CollectionStartEvent) -> None:
        kind = Table if isinstance(event, MappingStartEvent) else Listing
        frame = _Open(kind(self._place(event), event.tag), event.anchor, self._nodes)
        self._count(event, 1)
        self._open.append(frame)
        self._check_depth(event, len(self._open))
        if event.anchor is not None:
            self._anchors[event.anchor] = None

    def _end(self) -> None:
        frame = self._open.pop()
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (frame.node, self._nodes - frame.nodes_before, frame.height)
        self._attach(frame.node, frame.height)

    def _alias(self, event: AliasEvent) -> None:
        known = self._anchors.get(event.anchor or "")
        if known is None:
            what = "still open" if event.anchor in self._anchors else "not defined above"
            raise _failure(self._place(event), f"alias `*{event.anchor}` repeats an anchor that is {what}")
        node, size, height = known
        self._check_depth(event, len(self._open) + height)
        self._aliased += size
        if self._aliased > MAX_ALIASED_NODES:
            raise _failure(
                self._place(event),
                f"expected aliases to repeat at most {MAX_ALIASED_NODES} values, got more",
            )
        self._count(event, size)
        self._attach(node, height)

    def _attach(self, node: Node, height: int) -> None:
        if not self._open:
            self._root = node
            return
        frame = self._open[-1]
        frame.height = max(frame.height, height + 1)
        if isinstance(frame.node, Listing):
            frame.node.items.append(node)
        elif frame.key is None:
            frame.key = node
        else:
            frame.node.pairs.append((frame.key, node))
            frame.key = None

    def _count(self, event: Event, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _failure(self._place(event), f"expected at most {MAX_NODES} values in a file, got more")

    def _check_depth(self, event: Event, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _failure(self._place(event), f"expected at most {MAX_DEPTH} levels of nesting, got more")

    def _place(self, event: Event) -> Place:
        mark = event.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1) if mark else Place(self._file, 1, 1)


def _failure(place: Place, message: str) -> SettingsError:
    return SettingsError([Problem(str(place), "", message)])


def _decoded(content: bytes, file: str) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise _failure(Place(file, 1, 1), f"expected at most {MAX_FILE_BYTES} bytes in a file, got more")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_of_byte(content, error.start, file)
        raise _failure(place, f"expected UTF-8 text, got the byte 0x{content[error.start]:02x}") from None


def _place_of_byte(content: bytes, position: int, file: str) -> Place:
    return _place_after(content[:position].decode("utf-8-sig", "replace"), file)


def _place_after(before: str, file: str) -> Place:
    return Place(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _as_yaml(text: str) -> str:
    """Return JSON in the spelling in which YAML reads the same."""
    return _SEPARATOR.sub(_escaped, _JSON_ESCAPE.sub(_joined_surrogates, text))


def _escaped(character: re.Match[str]) -> str:
    return f"\\u{ord(character[0]):04X}"


def _joined_surrogates(escape: re.Match[str]) -> str:
    """Return a surrogate pair as the one escape that YAML knows, other escapes as they are."""
    if escape[1] is None:
        return escape[0]
    code = 0x10000 + ((int(escape[1], 16) - 0xD800) << 10) + (int(escape[2], 16) - 0xDC00)
    return f"\\U{code:08X}"


def _syntax_error(error: yaml.MarkedYAMLError, text: str, file: str) -> SettingsError:
    mark = error.problem_mark or error.context_mark
    assert mark is not None
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    # `{url: ${env:X}}` is the likeliest cause: a brace opens a mapping inside a mapping in braces.
    hint = '; inside braces or brackets a reference needs quotes: "${…}"' if "${" in line else ""
    start = f" that starts in line {error.context_mark.line + 1}" if error.context_mark else ""
    context = f" {error.context}{start}" if error.context else ""
    # libyaml quotes the tab that it stumbles over as it is.
    message = printable(f"not YAML: {error.problem}{context}", limit=300)
    return _failure(Place(file, mark.line + 1, mark.column + 1), f"{message}{hint}")
