import socket

import pytest

from tests.kit.ports import LOOPBACK, answers, free_port, free_ports, wait_until


def test_free_ports_differ_from_each_other() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_free_port_can_be_listened_on_at_once() -> None:
    with socket.create_server((LOOPBACK, free_port())):
        pass


def test_answers_says_whether_somebody_listens() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        assert answers(port)
    assert not answers(port)


def test_waiting_ends_and_says_what_for() -> None:
    with pytest.raises(TimeoutError, match=r"the moon did not come about within 0\.05 s"):
        wait_until(lambda: False, what="the moon", timeout_s=0.05)
