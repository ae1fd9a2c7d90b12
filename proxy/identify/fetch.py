"""
Documents of identity providers: one connection for each, nothing remembered but whom to trust.

Law: only a 200 is an answer, and a server is believed by its certificate. What else a server might try
comes to nothing in `asking`.
"""

import asyncio
import os
import socket
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from proxy.asking import Answer, AnswerError, ask
from proxy.errors import IssuerError

PORTS: Final = {"http": 80, "https": 443}

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class HttpFetch:
    """Fetches documents. Files of authorities are read once, so a reload has one of its own."""

    __slots__ = ("_contexts", "_lookup")

    def __init__(self) -> None:
        self._contexts: dict[Path | None, ssl.SSLContext] = {}
        self._lookup = lookup_context()

    async def __call__(self, url: str, *, timeout_s: float, max_bytes: int, ca_file: Path | None) -> bytes:
        """Return the body of a 200 answer. Raises IssuerError for everything else."""
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._get(urlsplit(url), timeout_s, max_bytes, ca_file)
        except TimeoutError as error:
            raise IssuerError(f"`{url}` gave no answer within {timeout_s:g} s") from error
        except OSError as error:
            raise IssuerError(f"`{url}` cannot be fetched: {_cause(error)}") from error
        except (AnswerError, ValueError) as error:
            raise IssuerError(f"`{url}` cannot be fetched: {error}") from error
        if answer.status != 200:
            raise IssuerError(f"`{url}` answered with status {answer.status}, expected 200")
        if answer.encoding != b"identity":
            raise IssuerError(f"`{url}` answered with a compressed body, which was not asked for")
        return bytes(answer.body)

    async def _get(self, url: SplitResult, timeout_s: float, max_bytes: int, ca_file: Path | None) -> Answer:
        if url.scheme == "http":
            return await _ask(url, None, timeout_s, max_bytes)
        context = self._context(ca_file)
        try:
            return await _ask(url, context, timeout_s, max_bytes)
        except ssl.SSLCertVerificationError:
            if context is not self._lookup:
                raise
        # The directory may lack what the bundle has; from now on the bundle is used.
        return await _ask(url, self._whole(None), timeout_s, max_bytes)

    def _context(self, ca_file: Path | None) -> ssl.SSLContext:
        if ca_file is None and self._lookup is not None and None not in self._contexts:
            return self._lookup
        return self._whole(ca_file)

    def _whole(self, ca_file: Path | None) -> ssl.SSLContext:
        context = self._contexts.get(ca_file)
        if context is None:
            context = self._contexts[ca_file] = ssl.create_default_context(cafile=ca_file)
        return context

    def __repr__(self) -> str:
        return "<HttpFetch>"


def lookup_context() -> ssl.SSLContext | None:
    """
    Return a context that looks the system's authorities up, where the system has a directory for that.

    OpenSSL reads a bundle of authorities whole, 150 of them, which takes 50 ms and a megabyte. From a
    directory with hashed names it reads the one that it needs. Somebody who names other authorities in
    OpenSSL's variables has reasons, and gets what OpenSSL makes of them.
    """
    paths = ssl.get_default_verify_paths()
    if paths.capath is None or os.environ.keys() & {paths.openssl_cafile_env, paths.openssl_capath_env}:
        return None
    return ssl.create_default_context(capath=paths.capath)


async def _ask(url: SplitResult, context: ssl.SSLContext | None, timeout_s: float, max_bytes: int) -> Answer:
    reader, writer = await _connect(url, context, timeout_s)
    try:
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        return await ask(reader, writer, url.netloc, target, max_bytes)
    finally:
        writer.transport.abort()  # nothing of it is wanted any more, and nobody waits for a farewell


async def _connect(url: SplitResult, context: ssl.SSLContext | None, timeout_s: float) -> Streams:
    """Return a connection to the first address that answers; each is given its share of the time."""
    loop = asyncio.get_running_loop()
    host, port = url.hostname or "", url.port or PORTS[url.scheme]
    give_up_at = loop.time() + timeout_s
    # As bytes: text would be taken for a name of other letters, with half a megabyte of tables for them.
    found = await loop.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    name = None if context is None else host.removesuffix(".")  # no certificate has the dot of the root
    for left in range(len(addresses), 1, -1):
        address = addresses[-left]
        try:
            async with asyncio.timeout((give_up_at - loop.time()) / left):
                return await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
        except ssl.SSLCertVerificationError:
            raise  # whoever asked may know other authorities
        except OSError:  # TimeoutError is one, too; what the last one says is what people get to read
            continue
    return await asyncio.open_connection(addresses[-1], port, ssl=context, server_hostname=name)


def _cause(error: OSError) -> str:
    """Return why there is no connection: without the address of an object, which the library's text holds."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return error.strerror or str(error) or "the connection was closed"
