import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from proxy.demo.upstream import SampleUpstream


@pytest.fixture
async def upstream() -> AsyncIterator[SampleUpstream]:
    upstream = SampleUpstream()
    await upstream.start()
    yield upstream
    await upstream.stop()


async def test_answer_says_what_arrived(upstream: SampleUpstream) -> None:
    headers = {"X-Rolegate-Roles": "deployer", "Authorization": "Bearer x.y.z", "X-Other": "1"}
    url = f"{upstream.url}/a/b?c=d"
    async with aiohttp.ClientSession() as session, session.put(url, headers=headers, data=b"x") as response:
        text = await response.text()
    assert json.loads(text) == {
        "method": "PUT",
        "path": "/a/b?c=d",
        "told by rolegate": {"X-Rolegate-Roles": "deployer"},
        "authorization": "received",
    }
    assert "x.y.z" not in text
    assert text.endswith("}\n")
