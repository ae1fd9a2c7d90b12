"""Several sockets: TCP beside UNIX, files that are taken away safely, sockets that systemd passes on."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from proxy.errors import ConfigurationError
from tests.kit.local_proxy import AUDIENCE, ISSUER, LocalProxy, get, public_jwk
from tests.kit.plain_http import status_of
from tests.kit.ports import LOOPBACK, free_ports, wait_until
from tests.kit.programs import program
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rolegate.sock"


async def test_tcp_and_unix_beside_each_other(path: Path) -> None:
    sockets = [{"address": f"{LOOPBACK}:0"}, {"address": f"unix:{path}", "mode": "0600"}]
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"sockets": sockets}) as proxy,
    ):
        assert mode_of(path) == 0o600
        async with ScriptedClient(0, path=str(path)) as local, ScriptedClient(proxy.port) as remote:
            assert (await local.request(get("/a", b"X-Forwarded-For: 192.0.2.1"))).status == 200
            assert (await remote.request(get("/b"))).status == 200
        assert [record["client"] for record in proxy.records("decision")] == ["unix", "127.0.0.1"]
        assert b"X-Forwarded-For: unknown\r\n" in upstream.requests[0] + upstream.requests[1]
        assert proxy.proxy.listener.places == (f"{LOOPBACK}:{proxy.port}", f"unix:{path}")
        await proxy.stop()
        assert not exists(path)


async def test_peers_on_a_unix_socket_may_be_trusted_proxies(path: Path) -> None:
    listen = {"address": f"unix:{path}", "trust_peers": True}
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen=listen) as proxy,
        ScriptedClient(0, path=str(path)) as client,
    ):
        await client.request(get("/a", b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-Proto: https"))
        await client.request(get("/b"))
        assert [record["client"] for record in proxy.records("decision")] == ["192.0.2.1", "unix"]
        assert b"X-Forwarded-For: 192.0.2.1, unknown\r\n" in upstream.requests[0]
        assert b"X-Forwarded-Proto: https\r\n" in upstream.requests[0]
        assert b"X-Forwarded-Proto: http\r\n" in upstream.requests[1]


async def test_a_trusted_peer_on_a_unix_socket_sends_a_header(path: Path) -> None:
    listen = {"address": f"unix:{path}", "trust_peers": True, "proxy_protocol": {}}
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url, listen=listen) as proxy:
        async with ScriptedClient(0, path=str(path)) as client:
            header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
            # The client that the header names is nobody's proxy.
            assert (await client.request(header + get("/a", b"X-Forwarded-For: 203.0.113.1"))).status == 200
        async with ScriptedClient(0, path=str(path)) as client:
            await client.send(get("/a"))
            assert await client.is_closed()
        assert [record["client"] for record in proxy.records("decision")] == ["192.0.2.1"]


async def test_a_socket_that_was_left_behind_is_replaced(path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    async with (
        RecordingUpstream() as upstream,
        LocalProxy(upstream.url, listen={"address": f"unix:{path}"}),
        ScriptedClient(0, path=str(path)) as client,
    ):
        assert (await client.request(get("/a"))).status == 200


async def test_nothing_else_is_removed(path: Path) -> None:
    write(path, "precious")
    with pytest.raises(ConfigurationError, match=f"`unix:{path}`: there is a file that is not a socket"):
        await LocalProxy("http://127.0.0.1:1", listen={"address": f"unix:{path}"}).start()
    assert exists(path)


async def test_a_socket_in_use_is_left_alone_and_so_is_one_of_a_successor(path: Path) -> None:
    async with RecordingUpstream() as upstream:
        first = await LocalProxy(upstream.url, listen={"address": f"unix:{path}"}).start()
        with pytest.raises(ConfigurationError, match="another process answers there"):
            await LocalProxy(upstream.url, listen={"address": f"unix:{path}"}).start()
        assert exists(path)
        remove(path)
        async with LocalProxy(upstream.url, listen={"address": f"unix:{path}"}):
            await first.stop()
            first._folder.cleanup()
            async with ScriptedClient(0, path=str(path)) as client:
                assert (await client.request(get("/a"))).status == 200


async def test_a_later_socket_that_cannot_be_had_closes_the_others(path: Path) -> None:
    taken = socket.create_server((LOOPBACK, 0))
    port = taken.getsockname()[1]
    sockets = [{"address": f"unix:{path}"}, {"address": f"{LOOPBACK}:{port}"}]
    with pytest.raises(
        ConfigurationError, match=f"cannot listen on `{LOOPBACK}:{port}`: Address already in use"
    ):
        await LocalProxy("http://127.0.0.1:1", listen={"sockets": sockets}).start()
    assert not exists(path)
    taken.close()


LAUNCHER = """
import os, sys
for index, fd in enumerate(map(int, sys.argv[1].split(","))):
    os.dup2(fd, 3 + index)
    os.set_inheritable(3 + index, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(index + 1), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


def configuration(
    folder: Path, sockets: list[dict[str, object]], upstream_url: str, admin_port: int, *, workers: int = 1
) -> Path:
    (folder / "jwks.json").write_text(json.dumps({"keys": [public_jwk()]}))
    written = {
        "workers": workers,
        "listen": {"sockets": sockets},
        "admin": {"address": f"{LOOPBACK}:{admin_port}"},
        "audit": {"file": str(folder / "audit.jsonl")},
        "issuers": {"idp": {"url": ISSUER, "audiences": [AUDIENCE], "jwks_file": "jwks.json"}},
        "upstreams": {"api": {"url": upstream_url}},
        "routes": [{"name": "p", "match": {"paths": ["/**"]}, "upstream": "api", "public": True}],
    }
    path = folder / "rolegate.yaml"
    path.write_text(yaml.safe_dump(written))
    return path


def rolegate() -> str:
    return str(Path(sys.executable).with_name("rolegate"))


@pytest.mark.parametrize("workers", [1, 2])
async def test_sockets_passed_by_systemd_are_listened_on(tmp_path: Path, workers: int) -> None:
    """With the interface of sd_listen_fds(3), whoever speaks it."""
    passed = [socket.create_server((LOOPBACK, 0)), socket.socket(socket.AF_UNIX)]
    passed[1].bind(str(tmp_path / "passed.sock"))
    passed[1].listen()
    fds = [one.fileno() for one in passed]
    # Above what the launcher fills, so that none is overwritten before it is passed on.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
    (admin_port,) = free_ports(1)
    async with RecordingUpstream() as upstream:
        sockets: list[dict[str, object]] = [
            {"address": "systemd:web"},
            {"address": "systemd:local", "trust_peers": True},
        ]
        path = configuration(tmp_path, sockets, upstream.url, admin_port, workers=workers)
        arguments = [",".join(map(str, high)), "web:local", rolegate(), "serve", "--config", str(path)]
        with running([sys.executable, "-c", LAUNCHER, *arguments], pass_fds=high):
            wait_until(lambda: status_of(admin_port, "/readyz") == 200, what="the start", timeout_s=60.0)
            async with ScriptedClient(passed[0].getsockname()[1]) as client:
                assert (await client.request(get("/a"))).status == 200
            async with ScriptedClient(0, path=str(tmp_path / "passed.sock")) as client:
                assert (await client.request(get("/a", b"X-Forwarded-For: 192.0.2.1"))).status == 200
            assert b"X-Forwarded-For: 192.0.2.1, unknown\r\n" in upstream.received
        # It belongs to systemd, which hands it to the next process.
        assert exists(tmp_path / "passed.sock")
    for fd in high:
        os.close(fd)
    for one in passed:
        one.close()


@pytest.mark.component("systemd-socket-activate")
async def test_systemd_starts_us_when_somebody_connects(tmp_path: Path) -> None:
    port, admin_port = free_ports(2)
    async with RecordingUpstream() as upstream:
        path = configuration(tmp_path, [{"address": "systemd:web"}], upstream.url, admin_port)
        command = [
            *(program("systemd-socket-activate"), f"--listen={LOOPBACK}:{port}", "--fdname=web"),
            *(rolegate(), "serve", "--config", str(path)),
        ]
        with running(command):
            wait_until(lambda: is_listening(port), what="the socket")
            async with ScriptedClient(port) as client:
                assert (await client.request(get("/a"))).status == 200


@contextmanager
def running(command: Sequence[str], pass_fds: Sequence[int] = ()) -> Iterator[None]:
    """Run a command that ends well when it is told to stop."""
    process = subprocess.Popen(command, pass_fds=pass_fds, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(10) == 0


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def exists(path: Path) -> bool:
    return path.exists()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def remove(path: Path) -> None:
    path.unlink()


def is_listening(port: int) -> bool:
    """Say whether somebody listens, without connecting, which would be the activation."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    return any(wanted in line for line in Path("/proc/net/tcp").read_text().splitlines())


@pytest.mark.parametrize("workers", [1, 2])
def test_without_the_sockets_there_is_no_start(tmp_path: Path, workers: int) -> None:
    sockets: list[dict[str, object]] = [{"address": "systemd:web"}]
    path = configuration(tmp_path, sockets, "http://127.0.0.1:1", free_ports(1)[0], workers=workers)
    # Those of another process, which forgot to take them out of the environment.
    environ = {**os.environ, "LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
    result = subprocess.run(
        [rolegate(), "serve", "--config", str(path)],
        env=environ,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 2
    assert b"systemd passed no socket of this name; passed: none" in result.stderr
