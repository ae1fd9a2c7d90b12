"""
What pydantic found, in our words, at its place.

Every message says what was expected and what came, the latter as it stands in the file: a value
that `${env:NAME}` brought in shows as `${env:NAME}`.
"""

import re
from collections.abc import Iterable, Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from proxy.settings.document import Node, Scalar, Table
from proxy.settings.fields import fields_at
from proxy.settings.places import Places
from proxy.settings.problem import Collector, KeyPath, did_you_mean, listed, printable

# What was expected, by pydantic's name for the error. What came is added.
_EXPECTED = {
    "expected": "expected {what}, got {came}{hint}",
    "refused": "{came} {why}",
    "wrong": "{message}",
    "string_type": "expected text, got {came}{quoted}",
    "int_type": "expected a whole number, got {came}",
    "int_from_float": "expected a whole number, got {came}",
    "bool_type": "expected `true` or `false`, got {came}",
    "greater_than_equal": "expected at least {ge}, got {came}",
    "less_than_equal": "expected at most {le}, got {came}",
    "too_short": "expected at least one entry, got {came}",
    "tuple_type": "expected a list, got {came}",
    "mapping_type": "expected a mapping, got {came}",
    "model_type": "expected a mapping, got {came}",
    "model_attributes_type": "expected a mapping, got {came}",
    "literal_error": "expected one of {choices}, got {came}{near}",
}
_CHOICE = re.compile(r"'([^']*)'")


def explain(error: ValidationError, places: Places, problems: Collector) -> None:
    """Note every error that pydantic found."""
    errors = error.errors(include_url=False, include_input=False)
    unknown = {_path(item) for item in errors if item["type"] == "extra_forbidden"}
    for item in errors:
        path = _path(item)
        if path in unknown:
            problems.add(places.key_place(path), places.key(path), _unknown_key(path))
        elif _is_echo(item, places.node(path)):
            continue
        elif item["type"] == "missing":
            # `audience` for `audiences` is one mistake, not two.
            if not _is_misspelt(path, unknown):
                problems.add(places.place(path), places.key(path), "required, but missing")
        else:
            on_key = item["loc"][-1:] == ("[key]",) or item["type"] == "wrong"
            place = places.key_place(path) if on_key else places.place(path)
            problems.add(place, places.key(path), _message(item, path, places))


def came(node: Node | None) -> str:
    """Return what stands in the file, as a message shows it."""
    if node is None or (isinstance(node, Scalar) and node.is_plain and node.value is None):
        return "nothing"
    if isinstance(node, Scalar):
        shown = printable(node.text)
        return f"`{shown}`" if node.is_plain else f'`"{shown}"`'
    shape, content = ("mapping", node.entries) if isinstance(node, Table) else ("list", node.items)
    return f"a {shape}" if content else f"an empty {shape}"


def _path(item: ErrorDetails) -> KeyPath:
    path: KeyPath = item["loc"]
    if path[-1:] == ("[key]",):
        path = path[:-1]
    return (*path, *item.get("ctx", {}).get("at", ()))


def _is_echo(item: ErrorDetails, node: Node | None) -> bool:
    """Return whether the error follows from another one that is reported."""
    if isinstance(node, Scalar):
        return node.is_faulty and item["loc"][-1:] != ("[key]",)
    # To pydantic a list whose entries are all wrong is empty.
    return item["type"] == "too_short" and node is not None and not came(node).startswith("an empty")


def _unknown_key(path: KeyPath) -> str:
    known = fields_at(path[:-1])
    name = str(path[-1])
    return f"unknown key `{printable(name)}`" + (
        did_you_mean(name, known) or f"; known here: {listed(known)}"
    )


def _is_misspelt(path: KeyPath, unknown: Iterable[KeyPath]) -> bool:
    siblings = (other for other in unknown if other[:-1] == path[:-1])
    return any(f"`{path[-1]}`" in did_you_mean(str(other[-1]), fields_at(path[:-1])) for other in siblings)


def _message(item: ErrorDetails, path: KeyPath, places: Places) -> str:
    node = places.node(path)
    context: Mapping[str, object] = item.get("ctx", {})
    on_key = item["loc"][-1:] == ("[key]",)
    choices = _CHOICE.findall(str(context.get("expected", "")))
    text = node.text if isinstance(node, Scalar) else ""
    template = _EXPECTED.get(item["type"])
    if template is None:
        return f"{item['msg'][:1].lower()}{item['msg'][1:]}, got {came(node)}"
    return template.format(
        **{
            **context,
            "came": f"`{printable(str(path[-1]))}`" if on_key else came(node),
            "quoted": f'; in quotes it is text: `"{printable(text)}"`' if text else "",
            "choices": listed(choices),
            "near": did_you_mean(text, choices) if text else "",
        }
    )
