import os
from ipaddress import ip_network

import pytest

from proxy.accept.crowd import Crowd
from proxy.limit.presence import Presence

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_client_has_no_more_than_the_limit(count: int) -> None:
    crowd = Crowd()
    entered = [crowd.enter("192.0.2.7", 2, ()) for _ in range(count)]
    assert entered == [True] * min(count, 2) + [False] * max(0, count - 2)
    assert crowd.refused == max(0, count - 2)
    assert crowd.enter("192.0.2.8", 2, ())


def test_who_left_makes_room_and_leaves_nothing_behind() -> None:
    crowd = Crowd()
    for _ in range(2):
        assert crowd.enter("192.0.2.7", 2, ())
    assert not crowd.enter("192.0.2.7", 2, ())
    crowd.leave("192.0.2.7")
    assert crowd.enter("192.0.2.7", 2, ())
    crowd.leave("192.0.2.7")
    crowd.leave("192.0.2.7")
    assert len(crowd) == 0


def test_an_ipv6_client_is_its_network() -> None:
    crowd = Crowd()
    assert crowd.enter("2001:db8::1", 1, ())
    assert not crowd.enter("2001:db8::2", 1, ())
    assert crowd.enter("2001:db8:0:1::1", 1, ())
    crowd.leave("2001:db8::1")
    assert crowd.enter("2001:db8::2", 1, ())


@pytest.mark.parametrize("address", ["10.1.2.3", "2001:db8:ffff::1", "unix"])
def test_who_brings_many_clients_is_not_limited(address: str) -> None:
    crowd = Crowd()
    assert all(crowd.enter(address, 1, PROXIES) for _ in range(10))


def test_without_a_limit_everybody_is_counted_until_there_is_one() -> None:
    crowd = Crowd()
    assert all(crowd.enter("192.0.2.7", None, ()) for _ in range(10))
    assert not crowd.enter("192.0.2.7", 10, ())
    assert repr(crowd) == "<Crowd [1 clients, 1 refused]>"


def test_connections_with_other_processes_count_too() -> None:
    ours = Presence.create(2)
    theirs = Presence.attach(os.dup(ours.fd), 1)
    here, there = Crowd(ours), Crowd(theirs)
    assert [crowd.enter("192.0.2.1", 3, ()) for crowd in (here, there, there, here, there)] == [
        *(True, True, True),
        *(False, False),
    ]
    assert here.enter("192.0.2.2", 3, ())
    there.leave("192.0.2.1")
    assert here.enter("192.0.2.1", 3, ())
    assert not there.enter("192.0.2.1", 3, ())
    for _ in range(2):
        here.leave("192.0.2.1")
    there.leave("192.0.2.1")
    assert all(
        crowd.enter("192.0.2.1", 1, ()) is is_first for crowd, is_first in ((here, True), (there, False))
    )
    ours.close()
    theirs.close()
