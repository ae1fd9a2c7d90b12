"""
Where upstreams are: origins and UNIX sockets, networks that are denied, paths that are ours to write.

Paths written here go upstream as they are. They are of characters that every reader of a path takes
for the same thing: no escapes, no empty segments, none that begins with a dot.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from proxy.model.upstream import Endpoint, Networks
from proxy.settings.addresses import split_url
from proxy.settings.expectation import Kind, expected

MAX_ENDPOINTS = 64

# sun_path is 108 bytes on Linux, the last of them zero.
MAX_SOCKET_PATH_BYTES = 107

METADATA_NETWORKS: Networks = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",  # link-local: metadata of AWS, Azure, GCP, OpenStack and most others
            "fe80::/10",
            "fd00:ec2::254/128",  # AWS
            "fd20:ce::254/128",  # GCP
            "100.100.100.200/32",  # Alibaba Cloud
            "192.0.0.192/32",  # Oracle Cloud
            "168.63.129.16/32",  # Azure's host agent
        ),
    )
)
"""Where clouds hand out credentials to whoever can connect."""

_PORTS = {"http": 80, "https": 443}
_SEGMENT = r"[A-Za-z0-9_~!$&'()+,=:@-][A-Za-z0-9._~!$&'()+,=:@-]*"
_PREFIX = re.compile(rf"(/{_SEGMENT})+")
_HEALTH_PATH = re.compile(rf"/|(/{_SEGMENT})+/?(\?[A-Za-z0-9._~!$&'()*+,=:@/?%-]*)?")


def endpoint_of(url: str) -> Endpoint:
    """Return the endpoint that an upstream's URL names; the host in lower case, without brackets."""
    if url.startswith("unix:"):
        return Endpoint(path=url.removeprefix("unix:"))
    parts = urlsplit(url)
    port = parts.port or _PORTS[parts.scheme]
    return Endpoint(host=parts.hostname or "", port=port, is_tls=parts.scheme == "https")


def _upstream_url(value: str) -> str:
    if value.startswith("unix:"):
        return _unix_url(value)
    parts = split_url(value)
    if parts is None or parts.scheme not in _PORTS:
        raise expected(
            "a URL such as `http://127.0.0.1:9000`, `https://api.internal` or `unix:/run/api.sock`"
        )
    if "@" in parts.netloc or parts.path or "?" in value or "#" in value:
        raise expected("`http://host:port` alone, without user, path, query or fragment")
    return value


def _unix_url(value: str) -> str:
    path = value.removeprefix("unix:")
    if not path.startswith("/") or path.startswith("//") or not path.isprintable():
        raise expected("the absolute path of a socket, such as `unix:/run/api.sock`")
    if len(path.encode("utf-8", "surrogateescape")) > MAX_SOCKET_PATH_BYTES:
        raise expected(f"a path of at most {MAX_SOCKET_PATH_BYTES} bytes, which is what a socket may have")
    return value


def _denied_network(value: object) -> IPv4Network | IPv6Network:
    what = "a range without host bits, such as `10.0.0.0/8` or `fd00::/8`, or an address"
    if not isinstance(value, str):
        raise expected(what)
    try:
        return ip_network(value)
    except ValueError:
        raise expected(what) from None


def _prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value):
        raise expected(
            "a path such as `/api/v1`: no slash at its end, no escapes, no segment that begins with a dot"
        )
    return value


def _health_path(value: str) -> str:
    if not _HEALTH_PATH.fullmatch(value):
        raise expected("a path such as `/healthz`, without escapes, perhaps with a query")
    return value


_Strict = Field(strict=True)
_STRING = WithJsonSchema({"type": "string", "minLength": 1})

UpstreamUrl = Annotated[str, _Strict, AfterValidator(_upstream_url), Kind("URL"), _STRING]
"""An origin, or a UNIX socket, to forward to."""

DeniedNetwork = Annotated[
    IPv4Network | IPv6Network, PlainValidator(_denied_network), Kind("address range"), _STRING
]
"""A network in CIDR notation that is never connected to."""

Prefix = Annotated[str, _Strict, AfterValidator(_prefix), Kind("path prefix"), _STRING]
"""Whole segments at the front of a path."""

HealthPath = Annotated[str, _Strict, AfterValidator(_health_path), Kind("path"), _STRING]
"""What a health check asks for."""
