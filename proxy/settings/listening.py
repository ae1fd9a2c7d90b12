"""
The keys of a socket that clients connect to: its address, TLS, client certificates, PROXY protocol.

The same keys describe the one socket of a simple configuration (`listen.address`) and each of
several (`listen.sockets`).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from proxy.settings.addresses import Address, AddressRange, parse_address
from proxy.settings.document import Listing, Node, Scalar, Table
from proxy.settings.expectation import Kind, expected
from proxy.settings.problem import KeyPath
from proxy.settings.quantities import Duration
from proxy.settings.section import Section, setting
from proxy.settings.syntax import ConfigFile, Flag

# unix(7): `sun_path` has 108 bytes, the last of them zero.
_MAX_PATH_BYTES = 107

_SYSTEMD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A UNIX socket to make."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class SystemdAddress:
    """Sockets that systemd passes on, by their name."""

    name: str

    def __str__(self) -> str:
        return f"systemd:{self.name}"


def _socket_address(value: object) -> Address | UnixAddress | SystemdAddress:
    if isinstance(value, str) and value.startswith("unix:"):
        path = value.removeprefix("unix:")
        if not path.startswith("/") or "\0" in path or len(path.encode()) > _MAX_PATH_BYTES:
            raise expected(f"`unix:` and an absolute path of at most {_MAX_PATH_BYTES} bytes")
        return UnixAddress(Path(path))
    if isinstance(value, str) and value.startswith("systemd:"):
        name = value.removeprefix("systemd:")
        if not _SYSTEMD_NAME.fullmatch(name):
            raise expected("`systemd:` and the `FileDescriptorName=` of the socket unit")
        return SystemdAddress(name)
    return parse_address(value)


def _mode(value: str) -> str:
    if not re.fullmatch(r"0?[0-7]{3}", value):
        raise expected('a file mode in quotes such as `"0660"`')
    return value


SocketAddress = Annotated[
    Address | UnixAddress | SystemdAddress,
    PlainValidator(_socket_address),
    Kind("address"),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
"""Where to listen: host and port, `unix:PATH` or `systemd:NAME`."""

FileMode = Annotated[
    str,
    Field(strict=True),
    AfterValidator(_mode),
    Kind("file mode"),
    WithJsonSchema({"type": "string", "pattern": r"^(0?[0-7]{3}|.*\$\{.*)$"}),
]
"""Who may open a file."""

TlsVersion = Literal["1.2", "1.3"]
"""The versions of TLS that are spoken."""


class Certificate(Section):
    """A certificate of ours, with its key."""

    certificate_file: ConfigFile = Field(
        description="Certificate and then its chain, PEM, relative to the folder of the configuration."
    )
    key_file: ConfigFile = Field(description="Its private key, PEM, without a passphrase.")


class ClientCertificates(Section):
    """Certificates of clients (mutual TLS)."""

    ca_file: ConfigFile = Field(description="Certificates of those who may vouch for clients, PEM.")
    required: Flag = setting(
        True, "Whether every client has to present one; otherwise only a token bound to one needs it."
    )


class Tls(Section):
    """TLS towards clients."""

    certificates: tuple[Certificate, ...] = Field(
        min_length=1,
        description="Certificates; the names in them say for which hosts, the first is for all others.",
    )
    min_version: TlsVersion = setting("1.2", "Oldest version of TLS that is spoken.")
    client_certificates: ClientCertificates | None = setting(
        None, "Asks clients for a certificate; without this none is looked at."
    )


class ProxyProtocol(Section):
    """PROXY protocol, version 1 or 2, in front of TLS and HTTP."""

    peers: tuple[AddressRange, ...] = setting(
        (), "Peers that have to begin with a PROXY header; from others none is honoured.", min_length=1
    )


class ListenSocket(Section):
    """One socket that clients connect to."""

    address: SocketAddress = setting(
        "127.0.0.1:8080",
        "Host and port; `unix:PATH` for a UNIX socket; `systemd:NAME` for sockets that systemd passes on.",
    )
    mode: FileMode = setting("0660", "File mode of a UNIX socket: who may connect.")
    trust_peers: Flag = setting(
        False, "Whether whoever connects to this UNIX socket is a trusted proxy, as in `trusted_proxies`."
    )
    tls: Tls | None = setting(None, "Speak TLS.")
    proxy_protocol: ProxyProtocol | None = setting(
        None, "Learn the client's address from a PROXY header; on a UNIX socket with `trust_peers` always."
    )
    handshake_timeout: Duration = setting("10s", "For PROXY header and TLS handshake together.")


class ListenSockets(ListenSocket):
    """The one socket, or the several."""

    sockets: tuple[ListenSocket, ...] = setting(
        (), "Several sockets instead of one; each has the keys that stand above.", min_length=1
    )

    @property
    def every_socket(self) -> tuple[ListenSocket, ...]:
        """The sockets to listen on."""
        return self.sockets or (self,)


Note = Callable[[KeyPath, str], None]

DEFAULT_ADDRESS = "127.0.0.1:8080"


def check_listening(listen: Node | None, note: Note) -> None:
    """Note what is wrong between the keys of sockets."""
    table = listen if isinstance(listen, Table) else None
    if isinstance(_node(table, "sockets"), Listing):
        for name in ListenSocket.model_fields:
            if _node(table, name) is not None:
                note(("listen", name), "expected either one socket here or several in `sockets`, got both")
    for path, one in _sockets(table):
        _check_socket(path, one, note)
    taken: set[str] = set()
    for path, address in socket_addresses(listen):
        if address in taken and not address.endswith(":0"):
            note(path, f"expected an address of its own, got `{address}` a second time")
        taken.add(address)


def socket_addresses(listen: Node | None) -> Iterator[tuple[KeyPath, str]]:
    """Yield where the sockets listen, as written or by default, with the path of the key."""
    for path, one in _sockets(listen if isinstance(listen, Table) else None):
        yield (*path, "address"), _text(one, "address") or DEFAULT_ADDRESS


def _sockets(table: Table | None) -> Iterator[tuple[KeyPath, Table | None]]:
    several = _node(table, "sockets")
    if not isinstance(several, Listing):
        yield ("listen",), table
        return
    for position, item in enumerate(several.items):
        if isinstance(item, Table):
            yield ("listen", "sockets", position), item


def _check_socket(path: KeyPath, one: Table | None, note: Note) -> None:
    address = _text(one, "address") or DEFAULT_ADDRESS
    is_local = address.startswith("unix:")
    trusts = _node(one, "trust_peers")
    is_trusting = isinstance(trusts, Scalar) and trusts.value is True
    if is_trusting and not address.startswith(("unix:", "systemd:")):
        note(
            (*path, "trust_peers"),
            "expected on a UNIX socket only; elsewhere `trusted_proxies` names the proxies",
        )
    if _node(one, "mode") is not None and not is_local:
        note((*path, "mode"), "expected on a UNIX socket only (`address: unix:PATH`)")
    rules = _node(one, "proxy_protocol")
    if isinstance(rules, Table) and "peers" not in rules.entries and not is_trusting:
        note((*path, "proxy_protocol"), "expected `peers`: who has to send a PROXY header")
    if isinstance(rules, Table) and "peers" in rules.entries and is_local:
        note(
            (*path, "proxy_protocol", "peers"),
            "expected `trust_peers: true` instead: peers on a UNIX socket have no address",
        )


def _node(table: Table | None, name: str) -> Node | None:
    entry = None if table is None else table.entries.get(name)
    return None if entry is None else entry.node


def _text(table: Table | None, name: str) -> str | None:
    node = _node(table, name)
    if not isinstance(node, Scalar) or node.is_faulty or not isinstance(node.value, str):
        return None
    return node.value
