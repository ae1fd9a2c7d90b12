"""The data port is held before and between workers, and shared with nobody else."""

import socket

import pytest

from proxy.errors import ConfigurationError
from proxy.workers.ports import reserve
from tests.kit.ports import LOOPBACK, answers


def listener(port: int) -> socket.socket:
    return socket.create_server((LOOPBACK, port), reuse_port=True)


def test_a_reserved_port_takes_no_connection_until_somebody_listens() -> None:
    reserved = reserve(LOOPBACK, 0)
    assert reserved.port > 0
    assert not answers(reserved.port)
    with listener(reserved.port), listener(reserved.port):
        assert answers(reserved.port)
    reserved.release()


def test_a_port_on_which_others_listen_is_taken_even_if_they_would_share_it() -> None:
    with listener(0) as other, pytest.raises(ConfigurationError, match=r"cannot listen: .*in use"):
        reserve(LOOPBACK, other.getsockname()[1])


def test_a_name_with_several_addresses_is_held_on_each() -> None:
    reserved = reserve("localhost", 0)
    assert {held.getsockname()[1] for held in reserved.sockets} == {reserved.port}
    assert len(reserved.sockets) == len(
        socket.getaddrinfo("localhost", reserved.port, type=socket.SOCK_STREAM)
    )
    reserved.release()


def test_a_host_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="cannot listen: "):
        reserve("192.0.2.1", 0)
