"""The component forwards bytes, with the header in front."""

import pytest

from tests.kit.haproxy import Haproxy
from tests.kit.local_proxy import until
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient


@pytest.mark.component("haproxy")
async def test_the_header_comes_first() -> None:
    async with (
        RecordingUpstream() as upstream,
        Haproxy(f"127.0.0.1:{upstream.port}", "send-proxy") as haproxy,
        ScriptedClient(haproxy.port) as client,
    ):
        await client.send(b"hello")
        await until(lambda: b"\r\nhello" in upstream.received, what="the bytes")
        assert b"PROXY TCP4 127.0.0.1 127.0.0.1 " in upstream.received
