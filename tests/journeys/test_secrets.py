"""Secrets in every place where a client or an upstream can put one, and nowhere in what we write (law 7)."""

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path

from tests.journeys.trail import (
    chain_of,
    configuration,
    ids_of,
)
from tests.kit.local_proxy import HOST, bearer, token
from tests.kit.recorder import RecordedConnection, RecordingUpstream
from tests.kit.rolegate import RunningProxy
from tests.kit.scripted import ScriptedClient

CHUNKED = b"Transfer-Encoding: chunked"


def secret_requests(mark: Callable[[], bytes]) -> list[bytes]:
    """Return requests with a secret in every place where a client can put one."""

    def good(path: bytes, *lines: bytes) -> bytes:
        head = b"GET " + path + b" HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\n" + bearer()
        return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n"

    basic = base64.b64encode(b"mira:" + mark())
    broken = token().rpartition(".")[0].encode() + b"." + mark()
    return [
        good(b"/a?token=" + mark()),
        good(b"/public/a?" + mark()),
        good(b"/a", b"Cookie: session=" + mark(), b"X-Api-Key: " + mark(), b"X-" + mark() + b": 1"),
        good(
            b"/a",
            b"X-Rolegate-Subject: " + mark(),
            b"X-Forwarded-For: " + mark(),
            b"Forwarded: for=" + mark(),
        ),
        good(b"/a", b"traceparent: " + mark(), b"tracestate: a=" + mark(), b"Referer: http://a/?" + mark()),
        good(b"/a", b"Expect: " + mark()),
        good(b"/a", b"Authorization: Bearer " + mark()),
        good(b"/a", b"Proxy-Authorization: Basic " + basic, b"Upgrade: " + mark()),
        good(b"/a", b"Transfer-Encoding: " + mark()),
        good(b"/a", b"Content-Length: " + mark()),
        good(b"/a#" + mark()),
        good(b"/a;session=" + mark() + b"/b"),
        good(b"/a/../b?" + mark()),
        good(b"/a/%zz?" + mark()),
        good(b"//mira:" + mark() + b"@host/a"),
        good(b"http://mira:" + mark() + b"@" + HOST.encode() + b"/a"),
        b"CONNECT mira:" + mark() + b"@host:443 HTTP/1.1\r\nHost: host:443\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: mira:" + mark() + b"@host\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + broken + b"\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + mark() + b" " + mark() + b"\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: Basic " + basic + b"\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nauthorization:" + mark() + b"\r\n\r\n",
        b"GET /a?" + mark() + b" HTTP/1.1\nHost: h\n\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nCookie : " + mark() + b"\r\n\r\n",
        mark() + b" /a HTTP/1.1\r\nHost: h\r\n\r\n",
        mark() + b"\r\n\r\n",
        good(b"/a", b"Content-Length: 36")[:-2] + b"\r\n" + mark(),
        good(b"/a", CHUNKED)
        + b"24;ext="
        + mark()
        + b"\r\n"
        + mark()
        + b"\r\n0\r\nX-T: "
        + mark()
        + b"\r\n\r\n",
    ]


async def test_no_secret_is_written_anywhere(tmp_path: Path) -> None:
    marks: list[bytes] = []

    def mark() -> bytes:
        marks.append(b"SECRET%02dxxxxxxxxxxxxxxxxxxxxxxxxxxxx" % len(marks))
        return marks[-1]

    async def answer(connection: RecordedConnection) -> None:
        while await connection.request() is not None:
            await connection.write(
                b"HTTP/1.1 200 SECRETPHRASE\r\nSet-Cookie: a=SECRETCOOKIE\r\nLocation: /?SECRETQUERY\r\n"
                b"X-SECRETNAME: 1\r\nContent-Length: 10\r\n\r\nSECRETBODY"
            )

    requests = secret_requests(mark)
    async with (
        RecordingUpstream(answer) as upstream,
        RunningProxy(configuration(upstream.url, tmp_path)) as proxy,
    ):
        for data in requests:
            async with ScriptedClient(proxy.port) as client:
                assert (await client.request(data)).status in {200, 400, 401, 431, 501}, data
        metrics = proxy.metrics_text()
        await asyncio.to_thread(proxy.terminate)
        records = chain_of(proxy.audit_path)
        written = proxy.audit_path.read_text() + proxy.log_text() + metrics
    assert len(ids_of(records, "decision")) == len(requests)
    assert "SECRET" not in written
    assert base64.b64encode(b"mira:SECRET").decode()[:14] not in written
    signature = bearer().decode().strip().rpartition(".")[2]
    assert signature not in written
    assert bearer().split(b" ")[2][:40].decode() not in written
    assert len(marks) > 35
