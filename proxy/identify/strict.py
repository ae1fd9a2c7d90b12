"""
Base64url and JSON, read in one way only.

Law: two texts that decode to the same value are never both accepted, and no text is accepted
that another parser could read differently. Otherwise what was signed, cached or logged would not
be what is decided on.
"""

import binascii
import json
import math

MAX_DEPTH = 16
"""How deep arrays and objects nest; the deepest token of the providers we know has four levels."""

# The two characters in which base64url (RFC 4648, 5) differs, and the three of base64 made invalid.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")


def decode_base64url(unverified_text: bytes) -> bytes:
    """
    Return the bytes behind base64url without padding (RFC 7515, 2).

    Raises ValueError for any other character and for left-over bits that are not zero: the same
    token could be spelled in several ways, and each spelling would be verified and cached anew.
    """
    text = unverified_text.translate(_TO_BASE64)
    decoded = binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    if binascii.b2a_base64(decoded, newline=False).rstrip(b"=") != text:
        raise ValueError("not canonical base64url")
    return decoded


def decode_object(unverified_bytes: bytes) -> dict[str, object]:
    """
    Return the members of a JSON object in UTF-8.

    Raises ValueError for what JSON libraries disagree on: a byte order mark and other encodings,
    lone surrogates, members named twice at any depth, NaN and Infinity, numbers out of range,
    deep nesting.
    """
    try:
        value = _DECODER.decode(unverified_bytes.decode("utf-8"))
    except RecursionError:
        # From None: the traceback is a thousand frames of somebody else's brackets.
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")
    _check(value)
    return value


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members


def _constant(text: str) -> float:
    raise ValueError(f"`{text}` is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant)


def _check(value: dict[str, object]) -> None:
    # Level by level, since recursion costs twice as much, and anybody can send 16 kB of brackets.
    level: list[dict[str, object] | list[object]] = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[dict[str, object] | list[object]] = []
        for container in level:
            for item in (*container, *container.values()) if isinstance(container, dict) else container:
                if isinstance(item, dict | list):
                    deeper.append(item)
                else:
                    _check_leaf(item)
        if not deeper:
            return
        level = deeper
    raise ValueError("nested too deeply")


def _check_leaf(item: object) -> None:
    if isinstance(item, str):
        # `"\ud800"` is no character: it cannot be written to a header or a record. Raises ValueError.
        if not item.isascii():
            item.encode("utf-8")
    elif isinstance(item, int):
        # 64 bits is what every JSON reader can hold.
        if not -(2**63) <= item < 2**64:
            raise ValueError("an integer does not fit in 64 bits")
    elif isinstance(item, float) and not math.isfinite(item):
        raise ValueError("a number is out of range")
