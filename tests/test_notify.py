"""What systemd is told, read from the socket on which it would listen."""

import re
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy import notify
from tests.kit.rolegate import RunningProxy
from tests.test_serving import CONFIGURATION
from tests.workers.crew import Crew


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(address)
        end.settimeout(20)
        yield end


@pytest.mark.parametrize("is_abstract", [False, True])
def test_messages_arrive_as_datagrams(
    is_abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "notify")
    monkeypatch.setenv(notify.VARIABLE, f"@{path}" if is_abstract else path)
    with listening(f"\0{path}" if is_abstract else path) as end:
        notify.ready()
        notify.reloading()
        notify.stopping()
        received = [end.recv(4096).decode() for _ in range(3)]
    assert received[0] == "READY=1"
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", received[1])
    assert received[2] == "STOPPING=1"


@pytest.mark.parametrize("value", ["", "relative", "/nowhere/notify", "@nobody-listens-here"])
def test_without_anybody_who_listens_nothing_happens(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(notify.VARIABLE, value)
    notify.ready()
    monkeypatch.delenv(notify.VARIABLE)
    notify.ready()


def test_a_service_manager_that_does_not_read_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(notify.VARIABLE, str(tmp_path / "notify"))
    with listening(str(tmp_path / "notify")):
        for _ in range(10_000):
            notify.ready()


class Watched(RunningProxy):
    notify_path = ""

    def environment(self) -> Mapping[str, str] | None:
        return {"PATH": "/usr/bin", notify.VARIABLE: self.notify_path}


class WatchedCrew(Crew):
    notify_path = ""

    def environment(self) -> Mapping[str, str] | None:
        return {"PATH": "/usr/bin", notify.VARIABLE: self.notify_path}


@pytest.mark.parametrize("kind", [Watched, WatchedCrew])
def test_systemd_follows_the_life_of_the_service(
    kind: type[Watched] | type[WatchedCrew], tmp_path: Path
) -> None:
    """Also of several workers, of which none speaks for the service."""
    with listening(str(tmp_path / "notify")) as end:
        proxy = kind(CONFIGURATION)
        proxy.notify_path = str(tmp_path / "notify")
        with proxy:
            assert end.recv(4096) == b"READY=1"
            proxy.send_signal(signal.SIGHUP)
            assert end.recv(4096).startswith(b"RELOADING=1\n")
            assert end.recv(4096) == b"READY=1"
            proxy.config_path.write_text("no: configuration")
            proxy.send_signal(signal.SIGHUP)
            assert end.recv(4096).startswith(b"RELOADING=1\n")
            assert end.recv(4096) == b"READY=1"
            proxy.send_signal(signal.SIGTERM)
            assert end.recv(4096) == b"STOPPING=1"
            assert proxy._popen.wait(20) == 0
        end.setblocking(False)
        with pytest.raises(BlockingIOError):
            end.recv(4096)
