"""
TLS on a listening socket: which certificate for which name, which clients, and how files are followed.

Law: a connection keeps what it began with. New files are put in force whole or not at all; while
they cannot be used, what was in force stays, and the log says why. A new context has new ticket
keys, so nobody resumes a session whose certificate is not believed any more.
"""

import base64
import hashlib
import logging
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.accept.certificates import Certificate, CertificateFiles, read_certificate, read_chain
from proxy.errors import ConfigurationError

log = logging.getLogger("rolegate.accept")

# TLS 1.2 with forward secrecy and authenticated encryption only (RFC 9325 section 4.2); 1.3 has nothing else.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

_OPTIONS = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE

Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsRules:
    """
    What TLS on a socket looks like; the first certificate is for every name that no other has.

    `client_ca_file` asks clients for a certificate that one of its authorities issued.
    """

    certificates: tuple[CertificateFiles, ...]
    min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    client_ca_file: Path | None = None
    requires_client_certificate: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the rules are about."""
        paths = [path for pair in self.certificates for path in (pair.certificate, pair.key)]
        return (*paths, self.client_ca_file) if self.client_ca_file is not None else tuple(paths)


class Tls:
    """What is in force on a socket; `refresh` follows the files, once a second, off the path of requests."""

    __slots__ = (
        "_candidate",
        "_stamp",
        "asks_for_certificates",
        "certificates",
        "context",
        "failures",
        "reloads",
        "rules",
    )

    def __init__(self, rules: TlsRules) -> None:
        self.rules = rules
        self.asks_for_certificates = rules.client_ca_file is not None
        self._stamp = self._candidate = stamp_of(rules.files)
        self.context, self.certificates = load(rules)
        self.reloads = 0
        self.failures = 0

    def refresh(self) -> None:
        """Put new files in force if they can be used."""
        seen = stamp_of(self.rules.files)
        if seen == self._stamp:
            self._candidate = seen
            return
        if seen != self._candidate:
            # A certificate and its key are replaced one after the other: wait until nothing moves.
            self._candidate = seen
            return
        self._stamp = seen
        try:
            self.context, self.certificates = load(self.rules)
        except ConfigurationError as error:
            self.failures += 1
            log.error("new TLS files are not used, the old ones stay in force: %s", error)
            return
        self.reloads += 1
        log.info("new TLS files are in force: %s", ", ".join(f"`{path}`" for path in self.rules.files))

    def __repr__(self) -> str:
        return f"<Tls [{len(self.certificates)} certificates]>"


def load(rules: TlsRules) -> tuple[ssl.SSLContext, tuple[Certificate, ...]]:
    """Return the context for new connections and what its certificates say, or raise ConfigurationError."""
    certificates = tuple(read_certificate(files) for files in rules.certificates)
    contexts = [_context(rules, certificate.files) for certificate in certificates]
    default = contexts[0]
    by_name = _by_name(zip(certificates[1:], contexts[1:], strict=True), own=certificates[0].names)
    if by_name:

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            chosen = None if name is None else context_for(name, by_name)
            if chosen is not None:
                connection.context = chosen

        default.sni_callback = choose
    return default, certificates


def context_for(name: str, by_name: Mapping[str, ssl.SSLContext | None]) -> ssl.SSLContext | None:
    """Return the context for the name a client asked for (RFC 6066 section 3), None for the default."""
    host = name.lower().removesuffix(".")
    if host in by_name:
        return by_name[host]
    # RFC 9525 section 6.3: `*` is one whole label, the leftmost.
    return by_name.get(f"*.{host.partition('.')[2]}")


def _by_name(
    others: Iterable[tuple[Certificate, ssl.SSLContext]], own: Iterable[str]
) -> dict[str, ssl.SSLContext | None]:
    # The first certificate that has a name is the one for it; None stands for the default.
    found: dict[str, ssl.SSLContext | None] = dict.fromkeys(own)
    is_needed = False
    for certificate, context in others:
        for name in certificate.names:
            found.setdefault(name, context)
            is_needed = True
    return found if is_needed else {}


def thumbprint(certificate: bytes) -> str:
    """Return the thumbprint of a certificate in DER form as RFC 8705 section 3.1 writes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(certificate).digest()).rstrip(b"=").decode()


def is_outdated(connection: ssl.SSLObject, now: float) -> bool:
    """
    Whether a resumed session goes by a client certificate that has expired; `now` in epoch seconds.

    OpenSSL judges a certificate in a whole handshake only, and with each resumption of TLS 1.3 gives out
    a new ticket: whoever came once before the end could come for ever.
    """
    if not connection.session_reused:
        return False
    certificate = connection.getpeercert() or None  # empty where none was judged
    return certificate is not None and ssl.cert_time_to_seconds(str(certificate["notAfter"])) <= now


def stamp_of(paths: Iterable[Path]) -> Stamp:
    """Return by what a change of files shows: inode, size and time of each, None where there is none."""
    return tuple(map(_stamp_of, paths))


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _context(rules: TlsRules, files: CertificateFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = rules.min_version
    context.set_ciphers(CIPHERS)
    context.options |= _OPTIONS
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Never a question on a terminal: an encrypted key was refused before.
        context.load_cert_chain(files.certificate, files.key, password=b"")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"`{files.certificate}` cannot be used: {_cause(error)}") from error
    if rules.client_ca_file is not None:
        _ask_for_certificates(context, rules.client_ca_file, is_required=rules.requires_client_certificate)
    return context


def _ask_for_certificates(context: ssl.SSLContext, ca_file: Path, *, is_required: bool) -> None:
    read_chain(ca_file)
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"`{ca_file}` cannot be used: {_cause(error)}") from error
    context.verify_mode = ssl.CERT_REQUIRED if is_required else ssl.CERT_OPTIONAL
    # Whoever names an intermediate authority means that one, and not its root with all that it issued.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return str(reason).lower().replace("_", " ")
