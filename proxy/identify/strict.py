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
    _check(value, MAX_DEPTH)
    return value


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members


def _integer(text: str) -> int:
    # 64 bits is what every JSON reader can hold; the length first, since int() of a long text is slow.
    number = int(text) if len(text) <= 20 else None
    if number is None or not -(2**63) <= number < 2**64:
        raise ValueError("an integer does not fit in 64 bits")
    return number


def _fraction(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _constant(text: str) -> float:
    raise ValueError(f"`{text}` is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)


def _check(value: object, levels: int) -> None:
    if isinstance(value, str):
        # `"\ud800"` is no character: it cannot be written to a header or a record. Raises ValueError.
        if not value.isascii():
            value.encode("utf-8")
    elif isinstance(value, dict | list):
        if levels == 0:
            raise ValueError("nested too deeply")
        for item in value:
            _check(item, levels - 1)
        if isinstance(value, dict):
            for item in value.values():
                _check(item, levels - 1)
