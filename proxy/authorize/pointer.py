"""
RFC 6901 JSON Pointer: where a claim is found.

Law: a name that starts with `/` is a pointer, every other name is one top-level claim, exactly as
it is spelled. A path that leads nowhere gives None, the same as a claim that is null: neither can
be compared with anything, so no rule can mistake the absence of a claim for a value.
"""

import re
from collections.abc import Callable, Mapping

Claims = Mapping[str, object]
Lookup = Callable[[Claims], object]

_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")  # no leading zeros (section 4), and no number worth an attack


def compile_lookup(name: str) -> Lookup:
    """Return what finds the claim called `name`; ValueError where `name` is no name."""
    top_level = top_level_name(name)
    if top_level is not None:
        return lambda claims: claims.get(top_level)
    return _walk(_tokens(name))


def top_level_name(name: str) -> str | None:
    """Return the one top-level claim that `name` stands for, None where it points deeper."""
    if not name:
        raise ValueError("the name of a claim is empty")
    if not name.startswith("/"):
        return name
    tokens = _tokens(name)
    return tokens[0] if len(tokens) == 1 else None


def _tokens(pointer: str) -> tuple[str, ...]:
    if _ESCAPE.search(pointer):
        raise ValueError(f"claim `{pointer}` has a `~` that is neither `~0` nor `~1`")
    # `~1` before `~0`, or `~01` would come out as a slash (section 4).
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def _walk(tokens: tuple[str, ...]) -> Lookup:
    def look_up(claims: Claims) -> object:
        value: object = claims
        for token in tokens:
            if isinstance(value, Mapping):
                value = value.get(token)
            elif isinstance(value, list | tuple) and _INDEX.fullmatch(token) and int(token) < len(value):
                value = value[int(token)]
            else:
                return None
        return value

    return look_up
