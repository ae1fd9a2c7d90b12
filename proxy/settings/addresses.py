"""
Where things are: addresses to listen on, address ranges, URLs and hosts.

Hosts are compared in one form: lower case, ASCII, without a port or a dot at the end. Keys and
documents of an issuer come over https; plain http is for loopback, where nobody is in between.
"""

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, NamedTuple
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from proxy.settings.expectation import Kind, expected, refused

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


class Address(NamedTuple):
    """Where to listen; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Network = IPv4Network | IPv6Network
"""A range of addresses."""


def parse_address(value: object) -> Address:
    """Return host and port, or raise what `expected` returns."""
    what = "an address such as `127.0.0.1:8080` or `[::1]:8080`"
    if not isinstance(value, str):
        raise expected(what)
    host, _, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not re.fullmatch(r"0|[1-9][0-9]{0,4}", port, re.ASCII) or int(port) > 65_535:
        raise expected(f"{what}, with a port up to 65535")
    if not host:
        raise expected(what, hint=f"for every interface write `0.0.0.0:{port}` or `[::]:{port}`")
    host = host[1:-1] if bracketed else host
    if bracketed != _is_ip(host, 6) or not (bracketed or _is_ip(host, 4) or _is_dns_name(host)):
        raise expected(what)
    return Address(host, int(port))


def _network(value: object) -> Network:
    what = "an address range such as `10.0.0.0/8` or `fd00::/8`, or an address"
    if not isinstance(value, str):
        raise expected(what)
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise expected(what) from None
    if network.prefixlen == 0:
        raise refused("would believe forwarding headers from anybody; name the proxies")
    if "/" in value and network != _strict_network(value):
        raise expected(f"a range without host bits, such as `{network}`")
    return network


def _strict_network(value: str) -> Network | None:
    try:
        return ip_network(value)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Return whether `host` can only be this machine."""
    if host == "localhost":
        return True
    return (_is_ip(host, 4) or _is_ip(host, 6)) and ip_address(host).is_loopback


def _is_ip(host: str, version: int) -> bool:
    try:
        return "%" not in host and ip_address(host).version == version
    except ValueError:
        return False


def _is_dns_name(host: str) -> bool:
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.lower().split(".")):
        return False
    # `127.1` and `0x7f.1` are addresses to some resolvers and names to others.
    return not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.lower().rpartition(".")[2])


def split_url(value: str) -> SplitResult | None:
    """Return the parts of a URL with a host we can name, or None."""
    if not re.fullmatch(r"[\x21-\x7e]+", value) or "\\" in value:
        return None
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    if parts.netloc.endswith(":") or port == 0 or not value.startswith(f"{parts.scheme}://"):
        return None
    return parts if _is_ip(host, 4) or _is_ip(host, 6) or _is_dns_name(host) else None


def _is_trusted_transport(parts: SplitResult) -> bool:
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _issuer_url(value: str) -> str:
    parts = split_url(value)
    if parts is None or not _is_trusted_transport(parts):
        raise expected("an `https://` URL, or `http://` on a loopback host")
    if "@" in parts.netloc or "?" in value or "#" in value:
        raise expected("a URL without user, query or fragment, exactly as `iss` says it")
    return value


def _jwks_url(value: str) -> str:
    parts = split_url(value)
    if parts is None or not _is_trusted_transport(parts):
        raise expected("an `https://` URL, or `http://` on a loopback host")
    if "@" in parts.netloc or "#" in value:
        raise expected("a URL without user or fragment")
    return value


def _host_pattern(value: str) -> str:
    if value != value.lower():
        raise expected("a host in lower case, the form in which requests are compared")
    host = value.removeprefix("*.")
    if "*" in host:
        raise expected("an exact host, or one `*.` at its start and no other `*`")
    if not value.isascii():
        raise expected("a host in its ASCII form (`xn--…`)")
    is_literal = value == host and (_is_ip(value, 4) or value in (_bracketed(value[1:-1]), "localhost"))
    if not (is_literal or _is_dns_name(host)):
        raise expected("a host such as `api.example.com` or `*.example.com`, without port or dot at the end")
    return value


def _bracketed(host: str) -> str | None:
    """Return an IPv6 address in its one canonical form (RFC 5952), in brackets."""
    return f"[{IPv6Address(host)}]" if _is_ip(host, 6) else None


_Strict = Field(strict=True)
_STRING = WithJsonSchema({"type": "string", "minLength": 1})

ListenAddress = Annotated[Address, PlainValidator(parse_address), Kind("address"), _STRING]
"""A host and a port to listen on."""

AddressRange = Annotated[Network, PlainValidator(_network), Kind("address range"), _STRING]
"""A network in CIDR notation."""

IssuerUrl = Annotated[str, _Strict, AfterValidator(_issuer_url), Kind("URL"), _STRING]
"""What `iss` says, and where discovery starts."""

JwksUrl = Annotated[str, _Strict, AfterValidator(_jwks_url), Kind("URL"), _STRING]
"""Where a key set is."""

HostPattern = Annotated[str, _Strict, AfterValidator(_host_pattern), Kind("host"), _STRING]
"""Which hosts a route answers for."""
