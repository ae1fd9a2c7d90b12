"""
How a claim is compared, as written in the configuration.

- `project_id: "42"`: the claim is this text; `runner_id: 15`: this number; `email_verified: true`.
- `ref: [main, stable]`: the claim is one of these.
- `groups: {contains: admins}` or `{contains: [admins, owners]}`: the claim is a list with one of these.
- `project_path: {prefix: acme, separator: /}`: the claim is `acme`, or starts with `acme/`.

`"true"` and `true` are different values, and providers send both. So a word whose type readers of
YAML do not agree on (`no`, a bare date) is refused here: it needs quotes.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema

from proxy.model.policy import Contains, Matcher, OneOf, Prefix, Scalar
from proxy.settings.expectation import Kind, expected, refused, wrong
from proxy.settings.problem import KeyPath, did_you_mean, listed
from proxy.settings.resolve import Doubtful

_SHAPES = "a value, a list of values, `{contains: …}` or `{prefix: …, separator: …}`"


def matcher(raw: object) -> Matcher:
    """Return the matcher that `raw` describes."""
    if isinstance(raw, Mapping):
        return _contains(raw) if "contains" in raw else _prefix(raw)
    return OneOf(values=_values(raw, (), _SHAPES))


def _contains(raw: Mapping[str, object]) -> Contains:
    _check_keys(raw, ("contains",))
    return Contains(values=_values(raw["contains"], ("contains",), "a value or a list of values"))


def _prefix(raw: Mapping[str, object]) -> Prefix:
    if "prefix" not in raw and "separator" not in raw:
        near = "".join(did_you_mean(str(key), ("contains", "prefix")) for key in raw)
        raise wrong(f"expected {_SHAPES}{near}")
    _check_keys(raw, ("prefix", "separator"))
    prefix, separator = _text(raw, "prefix"), _text(raw, "separator")
    # `acme` must not match `acme-evil`; and `acme/` would wait for `acme//`.
    if prefix.endswith(separator):
        raise expected("a prefix without the separator at its end, which is added", at=("prefix",))
    return Prefix(prefix=prefix, separator=separator)


def _check_keys(raw: Mapping[str, object], known: tuple[str, ...]) -> None:
    for key in raw:
        if key not in known:
            raise wrong(f"unknown key; known here: {listed(known)}{did_you_mean(key, known)}", at=(key,))


def _text(raw: Mapping[str, object], key: str) -> str:
    value = raw.get(key)
    if key not in raw:
        raise wrong(f"`{key}` is missing; expected {_SHAPES}")
    if not isinstance(value, str) or not value:
        raise expected("text of at least one character", at=(key,))
    return str(value)


def _values(raw: object, at: KeyPath, what: str) -> tuple[Scalar, ...]:
    if not isinstance(raw, list):
        return (_scalar(raw, at, what),)
    if not raw:
        raise expected("at least one value", at=at)
    return tuple(_scalar(item, (*at, position), "a value") for position, item in enumerate(raw))


def _scalar(raw: object, at: KeyPath, what: str) -> Scalar:
    if isinstance(raw, Doubtful):
        boolean = "" if raw[:1].isdigit() else ", for a boolean write `true` or `false`"
        why = f'is text to one YAML reader and something else to the next; for text write `"{raw}"`{boolean}'
        raise refused(why, at=at)
    if isinstance(raw, str):
        return str(raw)
    if isinstance(raw, (bool, int, float)):
        return raw
    raise expected(what, at=at)


_VALUE_SCHEMA = {"type": ["string", "number", "boolean"]}
_VALUES_SCHEMA = {"anyOf": [_VALUE_SCHEMA, {"type": "array", "minItems": 1, "items": _VALUE_SCHEMA}]}
_MATCHER_SCHEMA: dict[str, object] = {
    "anyOf": [
        *_VALUES_SCHEMA["anyOf"],
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["contains"],
            "properties": {
                "contains": {**_VALUES_SCHEMA, "description": "The claim is a list with one of these."}
            },
        },
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["prefix", "separator"],
            "properties": {
                "prefix": {
                    "type": "string",
                    "minLength": 1,
                    "description": "The claim is or starts with this.",
                },
                "separator": {
                    "type": "string",
                    "minLength": 1,
                    "description": "What must follow the prefix.",
                },
            },
        },
    ]
}

ClaimMatcher = Annotated[Matcher, PlainValidator(matcher), Kind("matcher"), WithJsonSchema(_MATCHER_SCHEMA)]
"""One claim's matcher."""
