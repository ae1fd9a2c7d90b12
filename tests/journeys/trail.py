"""What journeys along the audit trail share: a proxy in a process of its own, and requests by their ids."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.kit.local_proxy import AUDIENCE, ISSUER, get, public_jwk, until
from tests.kit.recorder import RecordingUpstream
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import Response, ScriptedClient
from tests.record.audit_trail import read_chain

Records = list[dict[str, Any]]  # Any: JSON

REQUEST_ID = re.compile(rb"\r\nX-Rolegate-Request-Id: ([0-9a-f]{32})\r\n")


def configuration(upstream_url: str, folder: Path, **changes: object) -> dict[str, object]:
    """Return a configuration with one pinned issuer, one route and a public one."""
    (folder / "jwks.json").write_text(json.dumps({"keys": [public_jwk()]}))
    return {
        "issuers": {
            "idp": {"url": ISSUER, "audiences": [AUDIENCE], "jwks_file": str(folder / "jwks.json")},
        },
        "roles": {"caller": {"bindings": [{"issuer": "idp", "claims": {"team": "a"}}]}},
        "upstreams": {"api": {"url": upstream_url}},
        "routes": [
            {
                "name": "api",
                "match": {"paths": ["/**"]},
                "upstream": "api",
                "max_body": 100_000,
                "allow": [{"roles": ["caller"]}],
            },
            {"name": "public", "match": {"paths": ["/public/**"]}, "upstream": "api", "public": True},
        ],
        **changes,
    }


def ids_seen_by(upstream: RecordingUpstream) -> set[str]:
    """Return the ids of all requests of which the upstream got at least the head's id line."""
    return {found.decode() for found in REQUEST_ID.findall(upstream.received)}


def ids_of(records: Sequence[Mapping[str, object]], kind: str) -> list[str]:
    """Return the request ids of the records of one kind."""
    return [str(record["request_id"]) for record in records if record["kind"] == kind]


@asynccontextmanager
async def load(proxy: RunningProxy, *, clients: int = 8) -> AsyncIterator[list[Response]]:
    """Keep `clients` busy with good requests, and yield the growing list of the responses."""
    responses: list[Response] = []

    async def keep_asking() -> None:
        while True:
            with suppress(OSError, EOFError):
                async with ScriptedClient(proxy.port) as client:
                    while True:
                        responses.append(await client.request(get("/load")))
            await asyncio.sleep(0.005)

    # The group owns its tasks: they end with it.
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(keep_asking()) for _ in range(clients)]
        try:
            yield responses
        finally:
            for task in tasks:
                task.cancel()


async def statuses_of_next(responses: list[Response], count: int, *, timeout_s: float = 10.0) -> list[int]:
    """Return the statuses of the next `count` responses."""
    start = len(responses)
    await until(lambda: len(responses) >= start + count, what=f"{count} responses", timeout_s=timeout_s)
    return [response.status for response in responses[start : start + count]]


async def until_answered_with(status: int, responses: list[Response], *, timeout_s: float = 10.0) -> None:
    """Return when twenty responses in a row have `status`."""
    async with asyncio.timeout(timeout_s):
        while set(await statuses_of_next(responses, 20)) != {status}:
            pass


def chain_of(*paths: Path) -> Records:
    """Return the records of files that follow each other, after checking the chain."""
    return read_chain(b"".join(path.read_bytes() for path in paths))
