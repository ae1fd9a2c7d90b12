"""
The grammar of the values: names, paths, methods, headers, token types, claims and files.

Each type takes one spelling. What could be read in two ways, or could never match a request in
its canonical form, is refused here rather than left to never match.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema

from proxy.model.method import READABLE_METHODS
from proxy.settings.expectation import Kind, expected, refused
from proxy.settings.problem import did_you_mean
from proxy.settings.secrets import Revealed

_NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2
# More processes than cores gain nothing, and each of them has caches and connections of its own.
MOST_WORKERS = 64

_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_POINTER = re.compile(r"(/([^~/]|~[01])*)+", re.DOTALL)  # RFC 6901, 3

# Headers that frame a message, name its target, carry credentials or are ours to write. An
# identity header of such a name would be dropped, or would break the request it is added to.
_RESERVED_HEADERS = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade", "expect"),
        *("host", "authorization", "cookie", "set-cookie", "date", "range", "via"),
        *("content-length", "content-type", "content-encoding", "content-range"),
        *("forwarded", "x-real-ip", "traceparent", "tracestate"),
    )
)

# Protocols that carry requests: behind an upgrade to one of them nobody would judge those any more.
_CARRY_REQUESTS = frozenset({"h2c", "h2", "h3", "http", "https", "tls", "ssl", "connect-udp", "connect-ip"})

# Signed by the same key for the same audience, these say something else than "the bearer may
# ask"; `typ` is all that tells them from an access token (RFC 8725, 3.11).
_NEVER_A_CREDENTIAL = frozenset(
    (
        *("logout+jwt", "secevent+jwt", "dpop+jwt", "oauth-id-jag+jwt", "global-token-revocation+jwt"),
        *("token-introspection+jwt", "oauth-authz-req+jwt", "client-authentication+jwt"),
        *("kb+jwt", "sd-jwt"),
    )
)


def _name(value: object) -> object:
    # Names stand in records, metrics and messages, where nothing from a reference may show up.
    if isinstance(value, Revealed):
        raise expected("a name written out, since names appear in records and metrics")
    if isinstance(value, str) and not re.fullmatch(_NAME, value):
        raise expected(
            "a name of letters, digits, `_`, `.` and `-`, at most 64, starting with a letter or digit"
        )
    return value


def _workers(value: object) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_WORKERS:
        raise expected(f"a number from 1 to {MOST_WORKERS}, or `auto`")
    return value


def _text(value: str) -> str:
    if not value or not value.isprintable():
        raise expected("text of at least one character, without control characters")
    return value


def _path_pattern(value: str) -> str:
    if not value.startswith("/"):
        raise expected("a path that starts with `/`")
    if "?" in value or "#" in value:
        raise expected("a path alone; a query or fragment never takes part in matching")
    segments = value.split("/")[1:]
    if "**" in segments[:-1]:
        raise expected("`**` as the last segment only, as in `/api/**`")
    if any("*" in segment and segment not in ("*", "**") for segment in segments):
        raise expected("`*` or `**` as a whole segment, as in `/projects/*/jobs`")
    if unquote(segments[0]).casefold() == ".rolegate":
        raise refused("is refused: `/.rolegate/` is answered by rolegate itself")
    return value


def _method(value: str) -> str:
    if not _TOKEN.fullmatch(value) or value != value.upper():
        raise expected("an HTTP method in upper case, such as `GET`")
    if value in ("CONNECT", "TRACE"):
        raise refused("is refused: it is never forwarded")
    if value not in READABLE_METHODS:
        hint = did_you_mean(value, READABLE_METHODS).removeprefix("; ")
        raise expected("a method that HTTP parsers know, such as `GET` or `PROPFIND`", hint=hint)
    return value


def _header_name(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise expected("a header name of letters, digits and `-`")
    if value.lower() in _RESERVED_HEADERS or value.lower().startswith("x-forwarded-"):
        raise refused("is refused: the header has a meaning of its own in HTTP")
    return value


def _upgrade_protocol(value: str) -> str:
    name, slash, version = value.partition("/")
    if not _TOKEN.fullmatch(name) or (slash and not _TOKEN.fullmatch(version)) or len(value) > 64:
        raise expected("a protocol such as `websocket`, or with its version as in `SPDY/3.1`")
    if name.lower() in _CARRY_REQUESTS:
        raise refused("is refused: requests inside it would pass without a decision")
    return value.lower()


def _token_type(value: str) -> str:
    kind = value.lower().removeprefix("application/")
    if kind and not re.fullmatch(r"[a-z0-9!#$&^_.+-]+", kind):
        raise expected('a token type such as `at+jwt` or `JWT`, or `""` for a token without one')
    if kind in _NEVER_A_CREDENTIAL or kind.endswith("+sd-jwt"):
        raise refused("is refused: a token of this type says something else than that its bearer may ask")
    return kind


def _claim_name(value: str) -> str:
    if not value or (value.startswith("/") and not _POINTER.fullmatch(value)):
        raise expected("the name of a claim, or a JSON Pointer such as `/kubernetes.io/namespace`")
    return value


def _config_file(value: str, info: ValidationInfo) -> Path:
    if not value or "\0" in value:
        raise expected("the path of a file")
    context: Mapping[str, Path] = info.context or {}
    return context.get("folder", Path()) / value


def _working_file(value: str) -> Path:
    if not value or "\0" in value:
        raise expected("the path of a file")
    return Path(value)


_Strict = Field(strict=True)
_STRING = WithJsonSchema({"type": "string", "minLength": 1})


def _path_from(parse: Callable[..., Path]) -> PlainValidator:
    def checked(value: object, info: ValidationInfo) -> Path:
        if not isinstance(value, str):
            raise expected("the path of a file")
        return parse(value, info) if parse is _config_file else parse(value)

    return PlainValidator(checked)


Flag = Annotated[bool, _Strict, Kind("true or false")]
"""A switch."""

Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000), Kind("number")]
"""How many of something there may be."""

WorkerCount = Annotated[
    int | Literal["auto"],
    PlainValidator(_workers),
    Kind("number or `auto`"),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 64}, {"const": "auto"}]}),
]
"""How many processes; `auto` is for as many as there are cores."""

Text = Annotated[str, _Strict, Kind("text")]
"""Free text for people."""

Word = Annotated[str, _Strict, AfterValidator(_text), Kind("text"), _STRING]
"""Text that is compared."""

Name = Annotated[
    str,
    _Strict,
    BeforeValidator(_name),
    Kind("name"),
    WithJsonSchema({"type": "string", "pattern": f"^{_NAME}$"}),
]
"""The name of an issuer, role, upstream or route."""

PathPattern = Annotated[
    str,
    _Strict,
    AfterValidator(_path_pattern),
    Kind("path pattern"),
    WithJsonSchema({"type": "string", "pattern": r"^(/|.*\$\{)"}),
]
"""Which paths a route or rule is about."""

Method = Annotated[str, _Strict, AfterValidator(_method), Kind("method"), _STRING]
"""An HTTP method."""

HeaderName = Annotated[str, _Strict, AfterValidator(_header_name), Kind("header name"), _STRING]
"""A header that carries the identity."""

UpgradeProtocol = Annotated[str, _Strict, AfterValidator(_upgrade_protocol), Kind("protocol"), _STRING]
"""A protocol that a connection may change to, lower case."""

TokenType = Annotated[str, _Strict, AfterValidator(_token_type), Kind("token type")]
"""A `typ` that is welcome, lower case, without `application/`."""

ClaimName = Annotated[str, _Strict, AfterValidator(_claim_name), Kind("claim"), _STRING]
"""A top-level claim or a JSON Pointer."""

ConfigFile = Annotated[Path, _path_from(_config_file), Kind("path"), _STRING]
"""A file that belongs to the configuration: relative to its folder."""

WorkingFile = Annotated[Path, _path_from(_working_file), Kind("path"), _STRING]
"""A file that rolegate writes: relative to the working directory."""
