"""
Patterns of hosts and paths, in the form in which requests are compared with them.

Law: a pattern passes the very code that reads the target of a request, once, when it is compiled.
One that no request could ever match is an error, because somebody believes that it protects
something.

Two differences that upstreams rarely make are not made here either, or a rule written for the one
spelling would be slipped past with the other:
- An empty last segment: most upstreams serve `/admin/` and `/admin` with the same handler.
- A reserved character and its escape (RFC 3986 section 2.2 keeps them apart): nearly every upstream
  decodes `/jobs/7%3Acancel` before it looks for the handler of `/jobs/7:cancel`. `%2F` and `%25`
  stay as they are: they are not reserved for looks.
"""

import re
from dataclasses import dataclass

from proxy.errors import RequestError
from proxy.wire.authority import parse_authority
from proxy.wire.target import canonical_path

MAX_SEGMENTS = 64
"""Segments in one pattern: the lookup recurses once per segment of the deepest pattern."""

_RESERVED = "!$&'()*+,=:@"  # what a segment may hold beside unreserved characters, without `;`
_RESERVED_ESCAPE = re.compile("|".join(f"%{ord(character):02X}" for character in _RESERVED))
_TO_ESCAPE = re.compile(rb"[^A-Za-z0-9._~%!$&'()*+,=:@;-]")
_PLACEHOLDER = "x"  # stands for `*` while the rest of the pattern is read


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path in segments; None stands for `*`, and `rest` for `**` at the end."""

    segments: tuple[str | None, ...]
    rest: bool = False

    def matches(self, path: str) -> bool:
        """Compare one path, slowly; the data plane asks a `PathTrie` instead."""
        found = split_path(path)
        if found is None or len(found) < len(self.segments):
            return False
        if len(found) > len(self.segments) and not self.rest:
            return False
        # strict=False: what `**` stands for is left over.
        pairs = zip(self.segments, found, strict=False)
        return all(segment != "" if wanted is None else segment == wanted for wanted, segment in pairs)

    def overlaps(self, other: "PathPattern") -> bool:
        """Return whether some path matches both."""
        mine, theirs = self.segments, other.segments
        if (len(mine) > len(theirs) and not other.rest) or (len(theirs) > len(mine) and not self.rest):
            return False
        # strict=False: what is longer meets the `**` of the other.
        return all(a is None or b is None or a == b for a, b in zip(mine, theirs, strict=False))

    def __str__(self) -> str:
        segments = ["*" if segment is None else segment.replace("*", "%2A") for segment in self.segments]
        return "/" + "/".join([*segments, "**"] if self.rest else segments)


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host name; with `wildcard`, the name below which exactly one label stands."""

    name: str
    wildcard: bool = False

    def matches(self, host: str) -> bool:
        """Compare one host in lower case without a port."""
        if not self.wildcard:
            return host == self.name
        label, _, parent = host.partition(".")
        return label != "" and parent == self.name

    def __str__(self) -> str:
        return f"*.{self.name}" if self.wildcard else self.name


def split_path(path: str, limit: int = -1) -> list[str] | None:
    """
    Cut a canonical path into segments as they are compared; None if it is no path.

    An empty last segment is left out. With `limit`, everything behind that many segments stays in
    one piece.
    """
    if path[:1] != "/":
        return None
    if path == "/":
        return []
    path = path[1:-1] if path[-1] == "/" else path[1:]
    if "%" in path:
        path = _RESERVED_ESCAPE.sub(lambda escape: chr(int(escape[0][1:], 16)), path)
    return path.split("/", limit)


def parse_path(text: str) -> PathPattern:
    """Return the canonical pattern; ValueError says why it could never match."""
    if not text.startswith("/"):
        raise ValueError(f"path `{text}` does not start with `/`")
    if "?" in text or "#" in text:
        raise ValueError(f"path `{text}` holds `?` or `#`; only a path takes part in matching")
    parts = text[1:].split("/")
    if parts[-1] == "":
        parts.pop()
    rest = parts[-1:] == ["**"]
    if rest:
        parts.pop()
    if len(parts) > MAX_SEGMENTS:
        raise ValueError(f"path `{text[:60]}…` has {len(parts)} segments; the limit is {MAX_SEGMENTS}")
    _check_parts(text, parts)
    literals = _canonical(text, [_PLACEHOLDER if part == "*" else part for part in parts])
    pairs = zip(parts, literals, strict=True)
    return PathPattern(tuple(None if part == "*" else literal for part, literal in pairs), rest)


def parse_host(text: str) -> HostPattern:
    """Return the canonical host pattern; ValueError says why it could never match."""
    if not text.isascii():
        raise ValueError(f"host `{text}` is not ASCII; write it as it is sent, with `xn--`")
    wildcard = text.startswith("*.")
    sample = f"any.{text[2:]}" if wildcard else text
    try:
        host, authority = parse_authority(sample.encode("ascii"))
    except RequestError as error:
        raise ValueError(f"host `{text}` can never match: {error.detail}") from None
    if authority != host.encode("ascii"):
        raise ValueError(f"host `{text}` has a port; hosts are compared without one")
    return HostPattern(host.removeprefix("any.") if wildcard else host, wildcard)


def _check_parts(text: str, parts: list[str]) -> None:
    if "" in parts:
        raise ValueError(f"path `{text}` can never match: it holds an empty segment (`//`)")
    if "**" in parts:
        raise ValueError(f"path `{text}` has `**` in the middle; it stands for all the rest")
    if any("*" in part and part != "*" for part in parts):
        raise ValueError(
            f"path `{text}` has `*` in a longer segment; it stands for a whole one, a literal one is `%2A`"
        )


def _canonical(text: str, parts: list[str]) -> list[str]:
    """Return the segments as `split_path` gives those of a request that sends them."""
    if not parts:
        return []
    # A lone surrogate becomes bytes that are not UTF-8, which no path may hold.
    raw = "/".join(parts).encode("utf-8", "surrogatepass")
    claimed = b"/".join(_TO_ESCAPE.sub(_escape, part) for part in raw.split(b"/"))
    try:
        path = canonical_path(b"/" + claimed).decode("ascii")
    except RequestError as error:
        shown = text if text.isprintable() else ascii(text)[1:-1]
        raise ValueError(f"path `{shown}` can never match: {error.detail}") from None
    return split_path(path) or []


def _escape(character: re.Match[bytes]) -> bytes:
    return b"%%%02X" % ord(character[0])
