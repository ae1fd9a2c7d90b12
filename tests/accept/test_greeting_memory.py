"""What a connection leaves behind, on the loop of production; the other one keeps cycles of its own."""

import gc
from pathlib import Path

import pytest

from proxy.accept.client import ClientConnection
from proxy.accept.greeting import Greeting
from proxy.accept.reading import RequestReader
from tests.accept.exchanges import listening
from tests.accept.test_greeting import GET, HEADER, HOST, client_context, door, tls_of
from tests.kit.certificates import Authority
from tests.kit.local_proxy import until
from tests.kit.scripted import ScriptedClient


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("data", [b"", HEADER, HEADER + b"\x16\x03\x01", HEADER + GET])
async def test_what_ends_is_freed_without_a_search_for_cycles(authority: Authority, data: bytes) -> None:
    """The collector of garbage runs seldom in production."""
    async with listening(door=door(tls_of(authority))) as (listener, _, port, _):
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                async with ScriptedClient(port) as client:
                    await client.send(data)
                    await until(lambda: listener.connection_count == 1, what="the connection")
                    client.reset()
                await until(lambda: listener.connection_count == 0, what="the end")
            await until(lambda: len(listener.tasks) == 0, what="the end of the tasks")
            await until(lambda: alive() == [], what="the release")
        finally:
            gc.enable()


async def test_what_ended_well_is_freed_too(authority: Authority) -> None:
    secured = door(tls_of(authority), has_header=False)
    for one, tls, start in ((secured, client_context(authority), b""), (door(), None, HEADER)):
        async with listening(door=one) as (listener, exchanges, port, _):
            gc.collect()
            gc.disable()
            try:
                async with ScriptedClient(port, tls=tls, server_name=HOST) as client:
                    assert (await client.request(start + GET)).status == 200
                await until(lambda: listener.connection_count == 0, what="the end")
                exchanges.all.clear()
                await until(lambda: alive() == [], what="the release")
            finally:
                gc.enable()


def alive() -> list[object]:
    kept = (Greeting, ClientConnection, RequestReader)
    return [one for one in gc.get_objects() if isinstance(one, kept)]
