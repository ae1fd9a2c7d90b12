"""The reference: a Markdown table of every key with its type, default and meaning, from the models."""

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

from pydantic.fields import FieldInfo

from proxy.settings.fields import Annotation, bare, element, is_section, kind_of, origin_of
from proxy.settings.schema import Settings
from proxy.settings.section import Section

_HEAD = """\
# Configuration reference

Written by `rolegate schema --write`; do not edit. `rolegate check` reports every mistake at once.

- **Files.** One YAML or JSON file, or a folder of `*.yaml`, `*.yml` and `*.json` files. In a folder
  `issuers`, `roles`, `upstreams` and `routes` gather what all files say; any other section stands in
  one file. A name defined twice is an error.
- **References.** `${env:NAME}` and `${file:PATH}` may stand in any text except names; `$${` is a
  plain `${`. A path is relative to the folder of the configuration.
- **Plain words.** Without quotes `true` and `false` are booleans and `42` is a number. What readers of
  YAML disagree on is refused: numbers such as `010`, `1_000` or `12:30` everywhere, words such as
  `no` or `on` where a boolean or the value of a claim is expected. Quotes make text of anything.
- **Durations** are a whole number and a unit: `500ms`, `30s`, `10m`, `2h`, `1d`.
- **Sizes** are bytes, or a whole number and a unit: `4096`, `32KiB`, `1MiB`, `2GiB`.
- **Timestamps** have a zone: `2027-01-31T18:00:00Z`.
- **Claims** are named as in the token, or by a JSON Pointer that starts with `/`:
  `/kubernetes.io/namespace`. A matcher is a value, a list of values of which one must be equal,
  `{contains: VALUE or LIST}` for claims that are lists, or `{prefix: TEXT, separator: TEXT}`. Type
  counts: `"true"` and `true` are different values.
"""

_ROW = "| key | type | default | meaning |\n| --- | --- | --- | --- |"


def reference() -> str:
    """Return the text of `REFERENCE.md`."""
    parts = [_HEAD]
    for name, field in Settings.model_fields.items():
        rows = "\n".join(_rows(name, field))
        parts.append(f"\n## {name}\n\n{field.description}\n\n{_ROW}\n{rows}\n")
    return "".join(parts)


def _rows(key: str, field: FieldInfo) -> Iterator[str]:
    """Yield a row for each key below `key`, sections resolved into their keys."""
    model, key = _model_below(field.annotation, key)
    if model is None:
        yield _row(key, field)
        return
    for name, inner in model.model_fields.items():
        yield from _rows(f"{key}.{name}", inner)


def _model_below(annotation: Annotation, key: str) -> tuple[type[Section] | None, str]:
    annotation = bare(annotation)
    if is_section(annotation):
        return annotation, key
    inner = bare(element(annotation))
    if is_section(inner):
        return inner, f"{key}.<name>" if origin_of(annotation) is Mapping else f"{key}[]"
    return None, key


def _row(key: str, field: FieldInfo) -> str:
    cells = (
        f"`{key}`",
        _type(field.annotation, tuple(field.metadata)),
        _default(field),
        field.description or "",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(annotation: Annotation, metadata: tuple[object, ...] = ()) -> str:
    kind = kind_of(annotation, metadata)
    if kind is not None:
        return kind
    annotation = bare(annotation)
    if origin_of(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if origin_of(annotation) is Mapping:
        return f"{_type(get_args(annotation)[0])}: {_type(element(annotation))}"
    return f"list of {_type(element(annotation))}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    default = field.default
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple) and default:
        return f"`[{', '.join(default)}]`"
    return f"`{default}`" if default else ""
