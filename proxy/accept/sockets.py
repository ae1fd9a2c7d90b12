"""
Where listening sockets are made: TCP, UNIX, or passed on by systemd.

Law: a file in the way is removed only if it is a socket that nobody answers on, and at the end only
if it is still ours. Each failure is a ConfigurationError that names the place and the cause.
"""

import logging
import os
import socket
import stat
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from proxy.errors import ConfigurationError

log = logging.getLogger("rolegate.accept")

BACKLOG = 1024

# sd_listen_fds(3): the first socket that systemd passes on.
FIRST_PASSED_FD = 3
MAX_PASSED_SOCKETS = 64


@dataclass(frozen=True, slots=True)
class TcpPlace:
    """A host and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixPlace:
    """A path, and who may connect by the file's mode."""

    path: Path
    mode: int

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class PassedPlace:
    """Sockets that systemd opened, by the name that `FileDescriptorName=` gives them."""

    name: str

    def __str__(self) -> str:
        return f"systemd:{self.name}"


Place = TcpPlace | UnixPlace | PassedPlace

Passed = dict[str, list[socket.socket]]


class OwnFile:
    """The file of a UNIX socket that we made, known by its inode."""

    __slots__ = ("_inode", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode = _inode_of(path)

    def remove(self) -> None:
        """Remove the file, unless another process has put its own there."""
        try:
            if _inode_of(self.path) == self._inode:
                self.path.unlink()
        except OSError as error:
            log.warning("`unix:%s` is left behind: %s", self.path, error.strerror)


class Opened(NamedTuple):
    """A bound socket, and the file to remove with it."""

    socket: socket.socket
    file: OwnFile | None = None


def open_sockets(place: Place, passed: Passed, *, reuse_port: bool = False) -> list[Opened]:
    """Return the bound sockets of a place; what is taken from `passed` is not in it any more."""
    try:
        if isinstance(place, TcpPlace):
            return [Opened(bound) for bound in _open_tcp(place, reuse_port=reuse_port)]
        if isinstance(place, UnixPlace):
            return [_open_unix(place)]
    except OSError as error:
        raise ConfigurationError(f"cannot listen on `{place}`: {error.strerror or error}") from error
    return [Opened(claimed) for claimed in _claim(place, passed)]


def adopt_shared(descriptors: Iterable[int]) -> list[Opened]:
    """Return bound sockets that another process of ours opened, whose files it will remove."""
    return [Opened(_quiet(socket.socket(fileno=descriptor))) for descriptor in descriptors]


def _quiet(adopted: socket.socket) -> socket.socket:
    adopted.set_inheritable(False)
    adopted.setblocking(False)
    return adopted


def _open_tcp(place: TcpPlace, *, reuse_port: bool) -> list[socket.socket]:
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    made: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((entry[0], entry[4]) for entry in found):
            made.append(_bound(family, address, reuse_port=reuse_port))
    except OSError:
        close_all(made)
        raise
    return made


def _bound(family: socket.AddressFamily, address: object, *, reuse_port: bool) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            # Several processes listen on one port, and the kernel spreads connections over them.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # `[::]` and `0.0.0.0` are two places; without this, the system's mood says whether one is both.
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.setblocking(False)
        opened.bind(address)  # type: ignore[arg-type]  # as getaddrinfo gave it
    except OSError:
        opened.close()
        raise
    return opened


def _open_unix(place: UnixPlace) -> Opened:
    _remove_stale(place)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    opened.setblocking(False)
    # Without the umask anybody could connect in the moment before the mode is set.
    umask = os.umask(0o777 & ~place.mode)
    try:
        opened.bind(str(place.path))
        place.path.chmod(place.mode)
        return Opened(opened, OwnFile(place.path))
    except OSError:
        opened.close()
        raise
    finally:
        os.umask(umask)


def _inode_of(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _remove_stale(place: UnixPlace) -> None:
    """Remove a socket that a process left behind which did not end in order."""
    try:
        mode = place.path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigurationError(f"cannot listen on `{place}`: there is a file that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(place.path))
        except ConnectionRefusedError:
            place.path.unlink()
            return
        except BlockingIOError:
            pass  # its backlog is full, so somebody is there
    raise ConfigurationError(f"cannot listen on `{place}`: another process answers there")


def close_all(opened: Iterable[socket.socket]) -> None:
    """Close sockets."""
    for one in opened:
        one.close()


def take_passed(environ: MutableMapping[str, str] | None = None, *, first: int = FIRST_PASSED_FD) -> Passed:
    """
    Return the sockets that systemd passed to this process, by name (sd_listen_fds(3)).

    The variables are removed, so that no process we start takes our sockets for its own. Raises
    ConfigurationError for what cannot be listened on.
    """
    environ = os.environ if environ is None else environ
    process, count, names = (environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    environ.pop("LISTEN_PIDFDID", None)
    if process != str(os.getpid()) or not count.isdecimal():
        return {}
    if int(count) > MAX_PASSED_SOCKETS:
        raise ConfigurationError(f"systemd passed {int(count)} sockets, more than {MAX_PASSED_SOCKETS}")
    passed: Passed = {}
    given = names.split(":") if names else []
    for index in range(int(count)):
        name = given[index] if index < len(given) else "unknown"
        passed.setdefault(name, []).append(_adopt(first + index, name))
    return passed


def _adopt(fd: int, name: str) -> socket.socket:
    try:
        adopted = socket.socket(fileno=fd)
        is_listening = adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    except OSError as error:
        raise ConfigurationError(f"what systemd passed as `{name}` is no socket: {error.strerror}") from error
    if adopted.type != socket.SOCK_STREAM or not is_listening:
        adopted.close()
        raise ConfigurationError(
            f"what systemd passed as `{name}` is not a socket that listens (`Accept=no`)"
        )
    return _quiet(adopted)


def _claim(place: PassedPlace, passed: Passed) -> list[socket.socket]:
    found = passed.pop(place.name, None)
    if found is None:
        names = ", ".join(f"`{name}`" for name in passed) or "none"
        raise ConfigurationError(
            f"cannot listen on `{place}`: systemd passed no socket of this name; passed: {names}"
        )
    return found
