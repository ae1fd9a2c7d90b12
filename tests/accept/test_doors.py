"""Who comes through a door, as the socket says it."""

from ipaddress import ip_network

from proxy.accept.doors import Door
from proxy.accept.sockets import TcpPlace
from proxy.model.peer import Peer
from proxy.wire.forwarded import Network

PLACE = TcpPlace("127.0.0.1", 0)
PROXIES: tuple[Network, ...] = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def test_a_peer_has_one_address_in_one_spelling() -> None:
    door = Door(place=PLACE)
    expected = {
        ("192.0.2.1", 5): "192.0.2.1",
        ("::ffff:10.0.0.1", 5, 0, 0): "10.0.0.1",
        ("fe80::1%eth0", 5, 0, 3): "fe80::1",
        ("2001:DB8:0::1", 5, 0, 0): "2001:db8::1",
    }
    for address, text in expected.items():
        assert door.peer_at(address) == Peer(address=text)


def test_a_peer_without_an_address_is_trusted_where_the_door_says_so() -> None:
    for address in ("", None, b"\0abc"):
        assert Door(place=PLACE).peer_at(address) == Peer(address="unix")
        assert Door(place=PLACE, trusts_peers=True).peer_at(address).is_trusted
    assert not Door(place=PLACE, trusts_peers=True).peer_at(("192.0.2.1", 5)).is_trusted


def test_a_header_is_due_from_configured_peers_only() -> None:
    door = Door(place=PLACE, proxies=PROXIES)
    expected = {"10.1.2.3": True, "::ffff:10.1.2.3": True, "11.0.0.1": False, "fd00::1": True, "unix": False}
    assert {name: door.needs_header(Peer(address=name)) for name in expected} == expected
    assert Door(place=PLACE, demands_header=True).needs_header(Peer(address="unix"))


def test_a_door_without_anything_is_plain() -> None:
    assert Door(place=PLACE, trusts_peers=True).is_plain
    assert not Door(place=PLACE, proxies=PROXIES).is_plain
    assert not Door(place=PLACE, demands_header=True).is_plain
