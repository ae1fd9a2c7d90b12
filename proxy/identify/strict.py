"""
Base64url and JSON, read in one way only.

Law: two texts that decode to the same value are never both accepted, and no text is accepted
that another parser could read differently. Otherwise what was signed, cached or logged would not
be what is decided on.

The ways around a walk through all members are written for `cold` of `tests/bench/inner.py`.
"""

import binascii
import json
import math
from typing import Final

import msgspec

MAX_DEPTH: Final = 16
"""How deep arrays and objects nest; the deepest token of the providers we know has four levels."""

# The two characters in which base64url (RFC 4648, 5) differs, and the three of base64 made invalid.
_TO_BASE64: Final = bytes.maketrans(b"-_+/=", b"+/!!!")

# By what is over when the text is cut in fours: the padding, and the last characters that leave no bits.
_PADDING: Final = (b"", b"", b"==", b"=")
_ENDS: Final = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")
_LAST: Final = tuple(frozenset(b"%c" % octet for octet in ends) for ends in _ENDS)


def decode_base64url(unverified_text: bytes) -> bytes:
    """
    Return the bytes behind base64url without padding (RFC 7515, 2).

    Raises ValueError for any other character and for left-over bits that are not zero: the same
    token could be spelled in several ways, and each spelling would be verified and cached anew.
    """
    left_over = len(unverified_text) % 4
    if left_over and unverified_text[-1:] not in _LAST[left_over]:
        raise ValueError("not canonical base64url")
    text = unverified_text.translate(_TO_BASE64)
    return binascii.a2b_base64(text + _PADDING[left_over], strict_mode=True)


def decode_object(unverified_bytes: bytes) -> dict[str, object]:
    """
    Return the members of a JSON object in UTF-8.

    Raises ValueError for what JSON libraries disagree on: a byte order mark and other encodings,
    lone surrogates, members named twice at any depth, NaN and Infinity, numbers out of range,
    deep nesting.
    """
    plain = _read_plain(unverified_bytes)
    if plain is not None:
        return plain
    try:
        value: object = _DECODER.decode(unverified_bytes.decode("utf-8"))
    except RecursionError:
        # From None: the traceback is a thousand frames of somebody else's brackets.
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")
    _check(value)
    return value


def _read_plain(unverified_bytes: bytes) -> dict[str, object] | None:
    """
    Return the members of an object in the one spelling that says all of it, None in any other.

    What comes out the same when it is written again has no member twice, no second spelling of a text
    and no number out of range; it is read four times as fast. Most issuers write so.
    """
    if unverified_bytes.count(b"{") + unverified_bytes.count(b"[") > MAX_DEPTH:
        return None
    if _LONG_NUMBER in unverified_bytes.translate(_SAME_DIGITS):
        return None
    try:
        value: object = msgspec.json.decode(unverified_bytes)
        if isinstance(value, dict) and msgspec.json.encode(value) == unverified_bytes:
            return value
    except (ValueError, RecursionError):
        pass
    return None


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members


def _constant(text: str) -> float:
    raise ValueError(f"`{text}` is not JSON")


# Nineteen digits may be more than 64 bits, which libraries read in several ways.
_SAME_DIGITS: Final = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_NUMBER: Final = b"0" * 19

_DECODER: Final = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant)


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
