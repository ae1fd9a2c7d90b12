"""Sends what has to be refused and looks at the effects: the answer, the record, and a silent upstream."""

import asyncio
from collections.abc import Sequence

from tests.kit.local_proxy import LocalProxy, Record, until
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient

# On one machine and one event loop this is long enough for a piece to be read before the next is sent.
SETTLE_S = 0.002


async def record_of_refused(
    proxy: LocalProxy,
    upstream: RecordingUpstream,
    data: bytes,
    *,
    status: int,
    reason: str,
    stays_open: bool = False,
    splits: Sequence[int] = (),
) -> Record:
    """
    Send `data` and return the one record that it left.

    One answer comes, not one byte reaches the upstream, and nothing behind the request is answered.
    """
    before, bytes_before = len(proxy.records()), upstream.byte_count
    async with ScriptedClient(proxy.port) as client:
        await send_split(client, data, splits)
        response = await client.read_response(data.split(b" ", 1)[0].decode("latin-1"))
        assert response.status == status, (response, proxy.reasons)
        if not stays_open:
            assert response.header("Connection") == "close"
            assert await client.read_to_end() == b"", "something came behind the refusal"
    await proxy.until_quiet()
    await until(lambda: len(proxy.records()) > before, what="the record")
    records = proxy.records()[before:]
    assert [(record["kind"], record["decision"], record["reason"]) for record in records] == [
        ("decision", "deny", reason)
    ]
    assert upstream.byte_count == bytes_before, "the upstream got something"
    return records[0]


async def send_split(client: ScriptedClient, data: bytes, splits: Sequence[int]) -> None:
    """Send `data` in pieces that arrive one by one."""
    start = 0
    for end in (*splits, len(data)):
        await client.send(data[start:end])
        if end < len(data):
            await asyncio.sleep(SETTLE_S)
        start = end
