"""Listening sockets: where they come from, what they take away, and what they leave."""

import os
import socket
from pathlib import Path

import pytest

from proxy.accept.sockets import (
    MAX_PASSED_SOCKETS,
    PassedPlace,
    TcpPlace,
    UnixPlace,
    close_all,
    open_sockets,
    take_passed,
)
from proxy.errors import ConfigurationError
from tests.kit.ports import LOOPBACK

PID = str(os.getpid())


def test_two_processes_may_share_a_port_if_both_say_so() -> None:
    (first,) = open_sockets(TcpPlace(LOOPBACK, 0), {}, reuse_port=True)
    first.socket.listen()
    place = TcpPlace(LOOPBACK, first.socket.getsockname()[1])
    (second,) = open_sockets(place, {}, reuse_port=True)
    second.socket.listen()
    with pytest.raises(ConfigurationError, match=f"cannot listen on `{place}`: Address already in use"):
        open_sockets(place, {})
    close_all([first.socket, second.socket])


def test_a_name_may_have_several_addresses() -> None:
    opened = open_sockets(TcpPlace("localhost", 0), {})
    assert {one.socket.getsockname()[0] for one in opened} <= {"127.0.0.1", "::1"}
    close_all(one.socket for one in opened)


def test_a_name_that_nobody_has_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on `no\.such\.host\.invalid:80`: "):
        open_sockets(TcpPlace("no.such.host.invalid", 80), {})


def test_places_are_written_as_in_the_configuration(tmp_path: Path) -> None:
    assert str(TcpPlace("::1", 80)) == "[::1]:80"
    assert str(TcpPlace("127.0.0.1", 80)) == "127.0.0.1:80"
    assert str(UnixPlace(Path("/run/a"), 0o600)) == "unix:/run/a"
    assert str(PassedPlace("web")) == "systemd:web"


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_a_unix_socket_has_its_mode_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "s"
    before = os.umask(0o077)
    try:
        (opened,) = open_sockets(UnixPlace(path, mode), {})
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode
    assert opened.file is not None
    opened.file.remove()
    assert not path.exists()
    opened.file.remove()  # a second time there is nothing to remove, and nothing to complain of to the caller
    opened.socket.close()


def test_the_file_of_a_successor_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    (opened,) = open_sockets(UnixPlace(path, 0o600), {})
    path.unlink()
    (successor,) = open_sockets(UnixPlace(path, 0o600), {})
    assert opened.file is not None
    opened.file.remove()
    assert path.exists()
    close_all([opened.socket, successor.socket])


def test_a_link_to_a_socket_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("precious")
    (tmp_path / "s").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigurationError, match="there is a file that is not a socket"):
        open_sockets(UnixPlace(tmp_path / "s", 0o600), {})
    assert (tmp_path / "s").is_symlink()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on `unix:/.*: No such file or directory"):
        open_sockets(UnixPlace(tmp_path / "no" / "s", 0o600), {})


def listening_at() -> int:
    """Return a descriptor of a listening socket that nobody else closes."""
    with socket.create_server((LOOPBACK, 0)) as server:
        return server.detach()


def test_passed_sockets_are_found_by_name_and_the_variables_are_gone() -> None:
    first = listening_at()
    environ = {"LISTEN_PID": PID, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web", "HOME": "/"}
    passed = take_passed(environ, first=first)
    assert environ == {"HOME": "/"}
    (opened,) = open_sockets(PassedPlace("web"), passed)
    assert opened.file is None
    assert not opened.socket.get_inheritable()
    assert passed == {}
    with pytest.raises(ConfigurationError, match="passed no socket of this name; passed: none"):
        open_sockets(PassedPlace("web"), passed)
    opened.socket.close()


def test_sockets_without_a_name_are_called_unknown() -> None:
    passed = take_passed({"LISTEN_PID": PID, "LISTEN_FDS": "1"}, first=listening_at())
    assert list(passed) == ["unknown"]
    with pytest.raises(ConfigurationError, match="passed: `unknown`"):
        open_sockets(PassedPlace("web"), passed)
    close_all(passed["unknown"])


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": PID},
        {"LISTEN_PID": PID, "LISTEN_FDS": "-1"},
        {"LISTEN_PID": PID, "LISTEN_FDS": "x"},
        {"LISTEN_PID": PID, "LISTEN_FDS": "0"},
    ],
)
def test_what_was_not_passed_to_us_is_not_touched(environ: dict[str, str]) -> None:
    assert take_passed(environ, first=-1000) == {}
    assert environ == {}


def test_what_cannot_be_listened_on_is_refused() -> None:
    read, write = os.pipe()
    with pytest.raises(ConfigurationError, match="what systemd passed as `web` is no socket"):
        take_passed({"LISTEN_PID": PID, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}, first=read)
    os.close(read)
    os.close(write)
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        fd = socket.socket(socket.AF_INET, kind).detach()
        with pytest.raises(ConfigurationError, match="is not a socket that listens"):
            take_passed({"LISTEN_PID": PID, "LISTEN_FDS": "1"}, first=fd)
    with pytest.raises(ConfigurationError, match=f"more than {MAX_PASSED_SOCKETS}"):
        take_passed({"LISTEN_PID": PID, "LISTEN_FDS": str(MAX_PASSED_SOCKETS + 1)}, first=-1000)
