"""
A whole proxy on this test's own event loop: quicker than a process, and its insides can be counted.

Its one issuer is a key of ours, pinned; tokens are signed here, good unless the test says otherwise.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jwt
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from proxy.assemble import Proxy
from proxy.settings.load import load
from tests.kit.ports import LOOPBACK

ISSUER = "https://issuer.example.com"
AUDIENCE = "https://api.example.com"
HOST = "api.example.com"

Record = dict[str, Any]  # Any: as JSON has it


@cache
def signing_key() -> rsa.RSAPrivateKey:
    """Return the issuer's key; making one takes long."""
    return rsa.generate_private_key(65537, 2048)


def token(subject: str = "service-7", **changes: object) -> str:
    """Return a token that is good; `changes` replace claims, None leaves one out."""
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": subject, "aud": AUDIENCE, "iat": now, "exp": now + 3600, "team": "a"}
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    return jwt.encode(claims, signing_key(), "RS256", headers={"kid": "k1", "typ": "at+jwt"})


def public_jwk() -> dict[str, object]:
    """Return the public half of the issuer's key."""
    jwk: dict[str, object] = RSAAlgorithm.to_jwk(signing_key().public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return {**jwk, "kid": "k1", "use": "sig", "alg": "RS256"}


def bearer(subject: str = "service-7") -> bytes:
    """Return the Authorization line of a good token, with its line end; the same one for one subject."""
    return f"Authorization: Bearer {_one_token(subject)}\r\n".encode()


@cache
def _one_token(subject: str) -> str:
    return token(subject)


def get(path: str = "/", *lines: bytes, subject: str = "service-7") -> bytes:
    """Return a whole GET request with a good token; `lines` are further header lines without line ends."""
    return request("GET", path, *lines, subject=subject)


def request(
    method: str, path: str, *lines: bytes, body: bytes | None = None, subject: str = "service-7"
) -> bytes:
    """Return a request with a good token; a body goes with its length."""
    length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
    more = b"".join(line + b"\r\n" for line in lines)
    start = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n".encode()
    return start + bearer(subject) + length + more + b"\r\n" + (body or b"")


class LocalProxy:
    """
    One proxy with one route to `upstream_url`, and a public one below `/public/`.

    `listen`, `upstream` and `route` are laid over what the configuration says there.
    """

    def __init__(
        self,
        upstream_url: str,
        *,
        listen: Mapping[str, object] | None = None,
        upstream: Mapping[str, object] | None = None,
        route: Mapping[str, object] | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rolegate-local-")
        self.folder = Path(self._folder.name)
        self._is_stopped = False
        self.audit_path = self.folder / "audit.jsonl"
        (self.folder / "jwks.json").write_text(json.dumps({"keys": [public_jwk()]}))
        target = {"url": upstream_url, **(upstream or {})}
        self.configuration: dict[str, object] = {
            "listen": _with_address(listen or {}),
            "admin": {"address": f"{LOOPBACK}:0"},
            "audit": {"file": str(self.audit_path)},
            "issuers": {"idp": {"url": ISSUER, "audiences": [AUDIENCE], "jwks_file": "jwks.json"}},
            "roles": {"caller": {"bindings": [{"issuer": "idp", "claims": {"team": "a"}}]}},
            "upstreams": {"api": target},
            "routes": [
                {
                    "name": "api",
                    "match": {"paths": ["/**"]},
                    "upstream": "api",
                    "allow": [{"roles": ["caller"]}],
                    **(route or {}),
                },
                {"name": "public", "match": {"paths": ["/public/**"]}, "upstream": "api", "public": True},
            ],
        }

    async def start(self) -> Self:
        """Write the configuration and start; nothing is left of a proxy that cannot."""
        try:
            await self._start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    async def _start(self) -> None:
        path = self.folder / "rolegate.yaml"
        path.write_text(yaml.safe_dump(self.configuration))
        self.proxy = Proxy(load(path))
        await self.proxy.start()
        self.port = self.proxy.port
        try:
            await until(lambda: not self.proxy.missing(), what="readiness")
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> int:
        """Stop, and return how many connections had to be reset; a second time does nothing."""
        if self._is_stopped:
            return 0
        self._is_stopped = True
        return await self.proxy.stop()

    def records(self, kind: str = "") -> list[Record]:
        """Return the audit records, all or those of one kind."""
        lines = self.audit_path.read_bytes().split(b"\n")[:-1]
        found: list[Record] = [json.loads(line) for line in lines]
        return [record for record in found if kind in ("", record["kind"])]

    @property
    def reasons(self) -> list[tuple[str, str]]:
        """What the records say, each as its kind and its reason."""
        return [(record["kind"], record["reason"]) for record in self.records()]

    @property
    def in_flight(self) -> int:
        """Requests that have not ended."""
        return self.proxy.environment.in_flight

    async def until_quiet(self) -> None:
        """Return when no request is in flight, and what was recorded of them is written."""
        # A request ends in one turn of the loop, its record is written in the next.
        recorder = self.proxy.recorder
        await until(lambda: self.in_flight == 0 and not recorder._scheduled, what="the end of every request")

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        self._folder.cleanup()


def _with_address(listen: Mapping[str, object]) -> Mapping[str, object]:
    return listen if "sockets" in listen else {"address": f"{LOOPBACK}:0", **listen}


async def until(condition: Callable[[], bool], *, what: str, timeout_s: float = 10.0) -> None:
    """Return as soon as `condition` holds; raise `TimeoutError` naming `what` if it does not in time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    while not condition():
        if loop.time() >= end:
            raise TimeoutError(f"{what} did not come about within {timeout_s:g} s")
        await asyncio.sleep(0.005)
