"""Settings become doors; what can be wrong with their certificates shows here, with its place."""

import logging
import ssl
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from proxy.accept.certificates import CertificateFiles, doubts_about, read_certificate
from proxy.accept.doors import Door
from proxy.accept.sockets import (
    Opened,
    PassedPlace,
    Place,
    TcpPlace,
    UnixPlace,
    close_all,
    open_sockets,
    take_passed,
)
from proxy.accept.tls import Tls, TlsRules, load
from proxy.errors import ConfigurationError
from proxy.settings.listening import ListenSocket, SystemdAddress, UnixAddress
from proxy.settings.listening import Tls as TlsSettings
from proxy.settings.problem import KeyPath, Problem
from proxy.settings.schema import Settings

log = logging.getLogger("rolegate.accept")

T = TypeVar("T")

Shared = dict[int, list[Opened]]
"""Sockets on which several processes listen, by the position of their door."""

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def doors_of(settings: Settings) -> tuple[Door, ...]:
    """Return the doors to listen at; raises ConfigurationError where TLS files cannot be used."""
    return tuple(map(_door, settings.listen.every_socket))


def open_shared(settings: Settings) -> Shared:
    """
    Open what cannot be bound by several processes, by the position of its door: all but TCP ports.

    One process opens the sockets, and all listen on them: the kernel gives each connection to one of them.
    Raises ConfigurationError, with nothing left open.
    """
    places = {at: _place(one) for at, one in enumerate(settings.listen.every_socket)}
    own = {at: place for at, place in places.items() if not isinstance(place, TcpPlace)}
    passed = take_passed() if any(isinstance(place, PassedPlace) for place in own.values()) else {}
    opened: Shared = {}
    try:
        for at, place in own.items():
            opened[at] = open_sockets(place, passed)
    except ConfigurationError:
        close_shared(opened)
        raise
    finally:
        for name, unused in passed.items():
            log.warning("nobody listens on the sockets that systemd passed as `%s`", name)
            close_all(unused)
    return opened


def close_shared(shared: Shared) -> None:
    """Close what was opened here, and remove its files."""
    for opened in shared.values():
        for one in opened:
            if one.file is not None:
                one.file.remove()
            one.socket.close()


def tls_problems(settings: Settings) -> list[Problem]:
    """Return what keeps TLS files from being used."""
    found: list[Problem] = []
    for path, tls in _tls_sections(settings):
        faults = [
            _problem(settings, (*path, "certificates", position), fault)
            for position, files in enumerate(rules_of(tls).certificates)
            if (fault := _fault_of(read_certificate, files))
        ]
        if not faults and (fault := _fault_of(load, rules_of(tls))):
            faults.append(_problem(settings, path, fault))
        found += faults
    return found


def tls_warnings(settings: Settings) -> list[Problem]:
    """Return what is probably not meant about certificates that can be used."""
    now = time.time()
    found: list[Problem] = []
    for path, tls in _tls_sections(settings):
        for position, pair in enumerate(tls.certificates):
            at = (*path, "certificates", position)
            certificate = read_certificate(CertificateFiles(pair.certificate_file, pair.key_file))
            doubts = doubts_about(certificate, now)
            if position > 0 and not certificate.names:
                doubts.append(
                    f"the certificate in `{pair.certificate_file}` names no host, so it is never shown"
                )
            found += [_problem(settings, at, doubt) for doubt in doubts]
    return found


def rules_of(tls: TlsSettings) -> TlsRules:
    """Return TLS as `accept` knows it."""
    clients = tls.client_certificates
    return TlsRules(
        certificates=tuple(
            CertificateFiles(pair.certificate_file, pair.key_file) for pair in tls.certificates
        ),
        min_version=VERSIONS[tls.min_version],
        client_ca_file=None if clients is None else clients.ca_file,
        requires_client_certificate=clients is not None and clients.required,
    )


def _door(one: ListenSocket) -> Door:
    rules = one.proxy_protocol
    return Door(
        place=_place(one),
        tls=None if one.tls is None else Tls(rules_of(one.tls)),
        handshake_timeout_s=one.handshake_timeout,
        proxies=() if rules is None else rules.peers,
        demands_header=rules is not None and not rules.peers,
        trusts_peers=one.trust_peers,
    )


def _place(one: ListenSocket) -> Place:
    address = one.address
    if isinstance(address, UnixAddress):
        return UnixPlace(address.path, int(one.mode, 8))
    if isinstance(address, SystemdAddress):
        return PassedPlace(address.name)
    return TcpPlace(address.host, address.port)


def _tls_sections(settings: Settings) -> Iterator[tuple[KeyPath, TlsSettings]]:
    for position, one in enumerate(settings.listen.every_socket):
        if one.tls is not None:
            start: KeyPath = ("listen", "sockets", position) if settings.listen.sockets else ("listen",)
            yield (*start, "tls"), one.tls


def _fault_of(attempt: Callable[[T], object], argument: T) -> str:
    try:
        attempt(argument)
    except ConfigurationError as error:
        return str(error)
    return ""


def _problem(settings: Settings, at: KeyPath, message: str) -> Problem:
    return Problem(settings.place(*at), settings.key(*at), message)
