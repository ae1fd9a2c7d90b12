"""
The HTTP client towards identity providers: one GET, one document, nothing remembered.

Law: what the environment or a server might slip in is off. No proxy from variables, no cookies,
no redirects (a redirect would let a server send us to a place nobody configured), no compression
(a small answer must not grow in memory), and a body is read only up to its limit.
"""

import asyncio
import os
import ssl
from pathlib import Path

import aiohttp
from yarl import URL

from proxy.errors import IssuerError

MAX_CONNECTIONS = 16


class HttpFetch:
    """Fetches documents; close it when done."""

    __slots__ = ("_contexts", "_session")

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[Path | None, ssl.SSLContext] = {}

    async def __call__(self, url: str, *, timeout_s: float, max_bytes: int, ca_file: Path | None) -> bytes:
        """Return the body of a 200 answer. Raises IssuerError for everything else."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._get(url, max_bytes, self._context(ca_file))
        except TimeoutError as error:
            raise IssuerError(f"`{url}` gave no answer within {timeout_s:g} s") from error
        except aiohttp.ClientConnectorError as error:
            raise IssuerError(f"`{url}` cannot be fetched: {_cause(error.os_error)}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise IssuerError(f"`{url}` cannot be fetched: {error}") from error

    async def _get(self, url: str, max_bytes: int, context: ssl.SSLContext) -> bytes:
        # encoded=True: the URL as configured, not as yarl would write it.
        async with self._open().get(URL(url, encoded=True), allow_redirects=False, ssl=context) as response:
            if response.status != 200:
                raise IssuerError(f"`{url}` answered with status {response.status}, expected 200")
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise IssuerError(f"`{url}` answered with a compressed body, which was not asked for")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    raise IssuerError(f"`{url}` answered with more than {max_bytes} bytes")
            return bytes(body)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                    "User-Agent": "rolegate",
                },
                # The one limit is asyncio.timeout above; it covers connecting and the whole body.
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _context(self, ca_file: Path | None) -> ssl.SSLContext:
        context = self._contexts.get(ca_file)
        if context is None:
            context = self._contexts[ca_file] = ssl.create_default_context(cafile=ca_file)
        return context

    async def close(self) -> None:
        """Close what is open; waits for nobody."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def __repr__(self) -> str:
        return f"<HttpFetch {'idle' if self._session is None else 'open'}>"


def _cause(error: OSError) -> str:
    """Return why there is no connection: without the address of an object, which the library's text holds."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return error.strerror or str(error)
