"""
The one reading of a request target (RFC 9112 section 3.2, RFC 3986).

Law: the canonical path is what the policy decides on and what the upstream receives. A path that
becomes another path when somebody decodes it once more, folds its characters or drops those that
it does not know is refused, not repaired. Reading a canonical target again changes nothing.

Canonical: escapes of unreserved characters are decoded, all others keep their escape in upper
case. A reserved character and its escape stay two different paths (RFC 3986 section 2.2): `:` can
be a separator to the upstream where `%3A` is data.

Stricter than the grammar, on purpose:
- An encoded slash stands between two names: not first, last, doubled or beside a slash.
- An encoded percent sign is kept only at the end of a name or before punctuation (`100%25/all`).
  `%252e` is `.` to whoever decodes twice, and a sloppy decoder takes more than hex digits.
- Names made of dots and spaces are refused at any length (Windows reads `...` and `.. ` as `..`),
  and so are those whose dots are all that is left without the non-ASCII characters.
- Non-ASCII characters that fold into `.` `/` `\\` `;` `%` or a control character are refused, by
  Unicode compatibility (NFKC) or by the best fit of a legacy code page.

Case, and a dot at the end of a name (`Inc.`), are kept: they are names to HTTP, if not to every
file system.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple, NoReturn
from unicodedata import normalize
from urllib.parse import unquote_to_bytes

from proxy.errors import RequestError
from proxy.model.decision import Reason
from proxy.wire.authority import parse_authority


class Target(NamedTuple):
    """
    What a request is for, read in the only way there is.

    `host` is lower case without a port; `authority` and `target` are the bytes that go upstream.
    `target` is `path` plus the query as it came. `has_encoded_slash` says that `path` holds
    `%2F`, which only a route that opted in may accept.
    """

    path: str
    target: bytes
    has_encoded_slash: bool
    host: str
    authority: bytes


# The everyday path is canonical as it stands: no escape, no empty segment, none that begins with a
# dot. One pass without a step back, because every request pays for it.
_SEGMENT = rb"[A-Za-z0-9\-_~!$&'()*+,=:@][A-Za-z0-9\-._~!$&'()*+,=:@]*+"
_EVERYDAY: Final = re.compile(rb"(/(?:%b(?:/%b)*+/?)?)(?:\?[!\"$-~]*+)?" % (_SEGMENT, _SEGMENT)).fullmatch


# Clients ask for the same few things again. What they choose themselves must not fill our memory.
MAX_KNOWN_TARGETS: Final = 2048
MAX_KNOWN_BYTES: Final = 512


def parse_target(claimed_target: bytes, claimed_host: bytes) -> Target:
    """
    Return the target that this request line and its only Host value mean.

    Raises `RequestError` where they could mean something else to somebody else. Methods, lengths
    and the number of Host headers are the caller's to check. A short target that was read before is
    not read again: the answer depends on nothing else.
    """
    if len(claimed_target) + len(claimed_host) <= MAX_KNOWN_BYTES:
        return _parse_known(claimed_target, claimed_host)
    return _parse(claimed_target, claimed_host)


def _parse(claimed_target: bytes, claimed_host: bytes) -> Target:
    host, authority = parse_authority(claimed_host)
    match = _EVERYDAY(claimed_target)
    if match is not None:
        return Target(match[1].decode("ascii"), claimed_target, False, host, authority)
    if claimed_target[:1] != b"/":
        claimed_target = _origin_form(claimed_target, authority)
    _refuse_strange_bytes(claimed_target)
    claimed_path, mark, query = claimed_target.partition(b"?")
    canonical = canonical_path(claimed_path)
    return Target(canonical.decode("ascii"), canonical + mark + query, b"%2F" in canonical, host, authority)


_parse_known = lru_cache(maxsize=MAX_KNOWN_TARGETS)(_parse)

_ABSOLUTE_FORM: Final = re.compile(rb"https?://([^/?#\\]*+)(.*+)", re.IGNORECASE | re.DOTALL).fullmatch


def _origin_form(claimed_target: bytes, authority: bytes) -> bytes:
    """Return what follows the authority of an absolute-form target, which has to be the Host's."""
    match = _ABSOLUTE_FORM(claimed_target)
    if match is None:
        # Asterisk form and authority form have no path that a rule could be about.
        raise RequestError(
            Reason.MALFORMED_REQUEST, "the request target has to be a path that starts with `/`"
        )
    if parse_authority(match[1])[1] != authority:
        # RFC 9112 section 3.2.2 prefers the target, many servers the Host: the attacker would choose.
        raise RequestError(
            Reason.AMBIGUOUS_HOST, "the request target and the Host header name different hosts"
        )
    rest = match[2]
    return rest if rest[:1] == b"/" else b"/" + rest


def _refuse_strange_bytes(claimed_target: bytes) -> None:
    if re.search(rb"[^!-~]", claimed_target) is not None:
        raise RequestError(
            Reason.MALFORMED_REQUEST,
            "the request target holds a space, a control byte or a byte above 126; percent-encode it",
        )
    if b"#" in claimed_target:
        _refuse("the request target holds a fragment (`#`); write `%23` if it is part of a name")


_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_ESCAPE: Final = re.compile(rb"%[0-9A-Fa-f]{2}")
_PERCENT_BEFORE_MORE: Final = re.compile(rb"%25[A-Za-z0-9%]").search
_SLASH_AT_EDGE: Final = re.compile(rb"/%2F|%2F(?:/|%2F|$)").search
_NOT_IN_A_PATH: Final = re.compile(rb"[\"<>\[\]^`{|}?]").search
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_HEX = "0123456789abcdefABCDEF"
# Every spelling of every escape, and what it is in a canonical path.
_CANONICAL_ESCAPES = {
    f"%{high}{low}".encode(): b"%c" % octet if octet in _UNRESERVED else b"%%%02X" % octet
    for high in _HEX
    for low in _HEX
    for octet in [int(high + low, 16)]
}


def canonical_path(claimed_path: bytes) -> bytes:
    """Return the canonical form of a path, printable ASCII; `RequestError` if it has two readings."""
    if _BAD_ESCAPE(claimed_path) is not None:
        _refuse("a `%` in the path is not followed by two hex digits; write `%25` for a percent sign")
    canonical = _ESCAPE.sub(lambda escape: _CANONICAL_ESCAPES[escape[0]], claimed_path)
    if _PERCENT_BEFORE_MORE(canonical) is not None:
        _refuse("the path is percent-encoded twice; encode it once")
    try:
        _refuse_second_reading(unquote_to_bytes(canonical).decode("utf-8"))
    except UnicodeDecodeError:
        # Overlong forms end here: `%c0%ae` is a dot to a decoder that does not check.
        _refuse("the percent-decoded path is not UTF-8")
    if _SLASH_AT_EDGE(canonical) is not None:
        _refuse("an encoded slash in the path has to stand between two names")
    if _NOT_IN_A_PATH(canonical) is not None:
        raise RequestError(
            Reason.MALFORMED_REQUEST, "the path holds a character that has to be percent-encoded"
        )
    return canonical


_CONTROL: Final = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]").search
_NOT_ASCII: Final = re.compile("[^\0-\x7f]+")
_ASCII: Final = re.compile("[\0-\x7f]+")
_DOTS_AND_SPACES: Final = re.compile(r"(?:^|/)[. ]+(?:/|$)").search
_LEFT_WITH_DOTS: Final = re.compile(r"(?:^|/) *\.[. ]*(?:/|$)").search
# Beside ASCII itself: what Windows and Asian code pages turn into `/`, `\` and `%`.
_LOOKALIKE: Final = re.compile(
    "[./\\\\;%\0-\x1f\x7f\u2044\u2215\u29f8\u2216\u29f5\u29f9\u00a5\u20a9\u066a]"
).search


def _refuse_second_reading(decoded: str) -> None:
    """Refuse a path by what is in it once every escape is decoded."""
    if _CONTROL(decoded) is not None:
        _refuse("the path holds a control character")
    if "\\" in decoded:
        # A slash to Windows, and to every browser.
        _refuse("the path holds a backslash")
    if ";" in decoded:
        # Java servers cut `;x` off each segment: `/a/..;/b` is `/b` there.
        _refuse("the path holds a `;`, which some servers take for a path parameter")
    if "//" in decoded:
        _refuse("the path holds an empty segment (`//`)")
    if _DOTS_AND_SPACES(decoded) is not None or _LEFT_WITH_DOTS(_NOT_ASCII.sub("", decoded)) is not None:
        _refuse("the path holds a segment of dots; send it resolved")
    if _LOOKALIKE(normalize("NFKC", _ASCII.sub("", decoded))) is not None:
        _refuse("the path holds a character that can be taken for `.`, `/`, `\\`, `;` or `%`")


def _refuse(detail: str) -> NoReturn:
    raise RequestError(Reason.AMBIGUOUS_PATH, detail)
