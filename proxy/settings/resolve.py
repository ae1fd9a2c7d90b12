"""
Scalars get their values: a value is what every YAML reader agrees it is, or it is refused.

YAML 1.1 and 1.2 read the same plain word differently: `no` is false or text, `010` is 8, 10 or
text, `12:30` is 750 or text. A policy must not depend on that. Without quotes, then:

- `true`, `True`, `TRUE` and `false`, `False`, `FALSE` are booleans; `null`, `Null`, `NULL`, `~`
  and nothing at all are "nothing";
- a number is a number when it is written the way we would write it: `42`, `-7`, `1.5`. Any other
  spelling that some reader takes for a number (`010`, `0x1F`, `0o7`, `1_000`, `12:30`, `+5`,
  `1e5`, `1.10`, `.inf`) is an error wherever it stands;
- `yes`, `no`, `on`, `off`, `y`, `n` and timestamps are text, marked as `Doubtful`: good where
  text is expected, refused where a boolean is, and refused as the value of a claim;
- everything else is text. In quotes everything is text. Keys are always text, as written.

Tags (`!!str`, `!!python/…`), merge keys (`<<`), keys that are not text and keys given twice are
errors. References (`${env:NAME}`) are resolved here, after parsing, so that what they bring can
never be read as YAML.
"""

import re

from proxy.settings.document import Entry, Listing, Node, Scalar, Table
from proxy.settings.problem import Collector, KeyPath, dotted, printable
from proxy.settings.secrets import References, UnresolvedError

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
_DOUBTFUL_WORDS = frozenset(("yes", "no", "on", "off", "y", "n"))
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?", re.DOTALL)

# Whatever YAML 1.1 or 1.2 takes for a number, by the type lists of both.
_NUMERIC = re.compile(
    r"""
      [-+]?0b[01_]+ | [-+]?0x[0-9a-fA-F_]+ | [-+]?0o[0-7_]+
    | [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?
    | [-+]?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?
    | [-+]?\.[0-9_]+([eE][-+]?[0-9]+)?
    | [-+]?\.(inf|Inf|INF) | \.(nan|NaN|NAN)
    """,
    re.VERBOSE | re.ASCII,
)
# Longer digits are ids that somebody forgot to quote; JSON readers would round them.
_MAX_DIGITS = 18


class Doubtful(str):
    """Text written without quotes that another YAML reader would not take for text."""

    __slots__ = ()


class _NotOneValueError(Exception):
    """A plain scalar that can be read in several ways."""


def resolve(node: Node, references: References, problems: Collector) -> None:
    """Give every scalar below `node` its value and every table its entries; note what is wrong."""
    _Resolver(references, problems).visit(node, ())


def plain_value(text: str) -> str | int | float | bool | None:
    """Return what `text` means without quotes; raise `_NotOneValueError` if readers disagree."""
    if text in _WORDS:
        return _WORDS[text]
    if _NUMERIC.fullmatch(text):
        return _number(text)
    if text.casefold() in _DOUBTFUL_WORDS or _DATE.fullmatch(text):
        return Doubtful(text)
    return text


def _number(text: str) -> int | float:
    if len(text) <= _MAX_DIGITS and "e" not in text.lower():
        for kind in (int, float):
            try:
                value = kind(text)
            except ValueError:
                continue
            if str(value) == text:
                return value
    raise _NotOneValueError(
        f"`{printable(text)}` is a number to one reader and text or another number to the next; "
        f'for text write `"{printable(text)}"`, for a number plain digits such as `42`'
    )


class _Resolver:
    """Walks a document once, with the key path in hand for messages."""

    def __init__(self, references: References, problems: Collector) -> None:
        self._references = references
        self._problems = problems

    def visit(self, node: Node, path: KeyPath) -> None:
        if node.tag is not None:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            self._add(node, path, f"tags such as `{printable(tag)}` are not read; for text use quotes")
        if isinstance(node, Scalar):
            self._scalar(node, path)
        elif isinstance(node, Listing):
            for position, item in enumerate(node.items):
                self.visit(item, (*path, position))
        else:
            self._table(node, path)

    def _scalar(self, node: Scalar, path: KeyPath) -> None:
        try:
            value = plain_value(node.text) if node.is_plain else node.text
            node.value = self._references.resolve(node.text) if "${" in node.text else value
        except (_NotOneValueError, UnresolvedError) as error:
            node.value, node.is_faulty = node.text, True
            self._add(node, path, str(error))

    def _table(self, node: Table, path: KeyPath) -> None:
        node.entries = {}
        for key, value in node.pairs:
            name = self._name(key, path)
            if name is None:
                continue
            if (first := node.entries.get(name)) is not None:
                message = f"`{printable(name)}` is given twice, first at {first.place}"
                self._add(key, (*path, name), message)
                continue
            node.entries[name] = Entry(key.place, value)
            self.visit(value, (*path, name))

    def _name(self, key: Node, path: KeyPath) -> str | None:
        if not isinstance(key, Scalar):
            self._add(key, path, "expected a key that is text, got a list or a mapping")
        elif key.tag is not None:
            self._add(key, path, "tags are not read; leave it out")
        elif key.is_plain and key.text == "<<":
            self._add(key, path, "merge keys (`<<`) are not read; write the keys out")
        else:
            return key.text
        return None

    def _add(self, node: Node, path: KeyPath, message: str) -> None:
        self._problems.add(node.place, dotted(path), message)


def data(node: Node) -> object:
    """Return the values below `node` as dicts, lists and scalars."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Listing):
        return [data(item) for item in node.items]
    return {name: data(entry.node) for name, entry in node.entries.items()}
