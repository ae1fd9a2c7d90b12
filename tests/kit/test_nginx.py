from collections.abc import Iterator

import pytest

from tests.kit.nginx import API_BODY, Nginx
from tests.kit.plain_http import get
from tests.kit.scripted import ScriptedClient

pytestmark = pytest.mark.component("nginx")


@pytest.fixture(scope="module")
def nginx() -> Iterator[Nginx]:
    with Nginx(files={"large": 3_000_000}) as running:
        yield running


def test_the_api_answers_143_bytes_of_json(nginx: Nginx) -> None:
    assert get(nginx.port, "/api/deployments/1") == (200, API_BODY)
    assert len(API_BODY) == 143


async def test_the_echo_shows_what_came_and_keeps_the_connection(nginx: Nginx) -> None:
    async with ScriptedClient(nginx.port) as client:
        for _ in range(2):
            response = await client.request(
                b"GET /echo?q HTTP/1.1\r\nHost: a\r\nX-Rolegate-Subject: mira\r\n\r\n"
            )
            lines = response.body.decode().splitlines()
            assert lines[0] == "GET /echo?q HTTP/1.1"
            assert "host: a" in lines
            assert "x-rolegate-subject: mira" in lines
            assert "authorization: " in lines


async def test_files_have_the_size_asked_for(nginx: Nginx) -> None:
    async with ScriptedClient(nginx.port) as client:
        response = await client.request(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert len(response.body) == 3_000_000


async def test_uploads_are_kept_whole(nginx: Nginx) -> None:
    body = b"0123456789" * 1000
    async with ScriptedClient(nginx.port) as client:
        head = b"PUT /uploads/a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert (await client.request(head + body)).status == 201
    assert nginx.uploaded("a").read_bytes() == body
