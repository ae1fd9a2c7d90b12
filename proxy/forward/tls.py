"""
TLS towards an upstream: its certificate is always verified, ours is shown where one is configured.

The files are read again when they change, so that a certificate can be renewed without a reload. A
new file that cannot be used is logged, and the last good one stays in use.
"""

import logging
import ssl
from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.model.upstream import Tls

log = logging.getLogger("rolegate.forward")

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

# What a file is recognised by: time of change, size, number.
Stamp = tuple[int, int, int]


class ClientTls:
    """The TLS settings of one upstream; raises ConfigurationError if its files cannot be used."""

    __slots__ = ("_context", "_stamps", "_tls")

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._stamps = self._read_stamps()
        try:
            self._context = context_of(tls)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError(_cause(tls, error)) from error

    def context(self) -> ssl.SSLContext:
        """Return the context for the next connection."""
        stamps = self._read_stamps()
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                self._context = context_of(self._tls)
            except OSError as error:
                log.error("the changed TLS files of an upstream are not used: %s", error)
        return self._context

    def server_name(self, host: str) -> str:
        """Return the name that the certificate has to be for."""
        return self._tls.server_name or host

    def _read_stamps(self) -> tuple[Stamp | None, ...]:
        return tuple(map(_stamp, (self._tls.ca_file, self._tls.certificate_file, self._tls.key_file)))

    def __repr__(self) -> str:
        return f"<ClientTls minimum_version={self._tls.minimum_version}>"


def context_of(tls: Tls) -> ssl.SSLContext:
    """Return the context; raise OSError if a file cannot be read or used."""
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.minimum_version = _VERSIONS[tls.minimum_version]
    # We speak nothing else; a server that has only HTTP/2 says so here instead of in gibberish.
    context.set_alpn_protocols(["http/1.1"])
    if tls.certificate_file is not None:
        context.load_cert_chain(tls.certificate_file, tls.key_file, password=_no_password)
    return context


def _cause(tls: Tls, error: OSError) -> str:
    """Return why a context could not be made; OpenSSL names neither the file nor the key."""
    named = {"ca_file": tls.ca_file, "certificate_file": tls.certificate_file, "key_file": tls.key_file}
    for key, path in named.items():
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as unreadable:
            return f"`tls.{key}`: cannot read `{path}`: {unreadable.strerror}"
    given = " and ".join(f"`{path}`" for path in named.values() if path is not None)
    return f"`tls`: cannot use {given}: {error}"


def _no_password() -> str:
    # Without this OpenSSL would ask for one on the terminal, and wait.
    raise ssl.SSLError("the key is encrypted; give one that is not")


def _stamp(path: Path | None) -> Stamp | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
