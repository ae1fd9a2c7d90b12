"""A gigabyte each way through the real proxy and a real server: intact, and the memory does not grow."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from tests.kit.local_proxy import HOST
from tests.kit.nginx import Nginx, write_file
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import ScriptedClient

SIZE = 2**30
GROWTH = 20 * 2**20
PIECE = 2**20


def configuration(url: str) -> dict[str, object]:
    return {
        "issuers": {},
        "upstreams": {"up": {"url": url}},
        "routes": [{"name": "all", "match": {"paths": ["/**"]}, "upstream": "up", "public": True}],
    }


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.component("nginx")
async def test_a_gigabyte_comes_down() -> None:
    async with Nginx({"big": SIZE}) as nginx, RunningProxy(configuration(nginx.url)) as proxy:
        await warm_up(proxy)
        before = most = proxy.resident_bytes()
        digest, size = hashlib.sha256(), 0
        async with ScriptedClient(proxy.port, timeout_s=60) as client:
            await client.send(f"GET /big HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
            await client.reader.readuntil(b"\r\n\r\n")
            while piece := await client.reader.read(PIECE):
                digest.update(piece)
                size += len(piece)
                if size % (64 * PIECE) < len(piece):
                    most = max(most, proxy.resident_bytes())
        assert size == SIZE
        assert most - before < GROWTH
        assert digest.hexdigest() == await asyncio.to_thread(digest_of, nginx.folder / "files" / "big")


@pytest.mark.component("nginx")
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
async def test_a_gigabyte_goes_up(tmp_path: Path, chunked: bool) -> None:
    source = tmp_path / "block"
    write_file(source, 16 * PIECE)
    block = source.read_bytes()
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {SIZE}"
    async with Nginx() as nginx, RunningProxy(configuration(nginx.url)) as proxy:
        await warm_up(proxy)
        before = most = proxy.resident_bytes()
        digest = hashlib.sha256()
        async with ScriptedClient(proxy.port, timeout_s=60) as client:
            await client.send(f"PUT /uploads/big HTTP/1.1\r\nHost: {HOST}\r\n{framing}\r\n\r\n".encode())
            for _ in range(SIZE // len(block)):
                digest.update(block)
                await client.send(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
                most = max(most, proxy.resident_bytes())
            if chunked:
                await client.send(b"0\r\n\r\n")
            assert (await client.read_response()).status == 201
        assert most - before < GROWTH
        assert nginx.uploaded("big").stat().st_size == SIZE
        assert digest.hexdigest() == await asyncio.to_thread(digest_of, nginx.uploaded("big"))


async def warm_up(proxy: RunningProxy) -> None:
    async with ScriptedClient(proxy.port) as client:
        for _ in range(20):
            await client.request(f"GET /healthy HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
