from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.peer import Peer
from proxy.wire.forwarded import MAX_HOPS, Network, client_address, client_scheme, forwarding_lines

TRUSTED: tuple[Network, ...] = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize("claimed", [[], [b"1.2.3.4"], [b"10.0.0.2, 1.2.3.4", b"junk"]])
@pytest.mark.parametrize("trusted", [(), TRUSTED])
def test_a_stranger_is_the_client_whatever_it_sends(
    claimed: list[bytes], trusted: tuple[Network, ...]
) -> None:
    assert client_address(Peer(address="203.0.113.9"), claimed, trusted) == ("203.0.113.9", ())


def test_nobody_is_trusted_by_default() -> None:
    assert client_address(Peer(address="127.0.0.1"), [b"1.2.3.4"], ()) == ("127.0.0.1", ())


@pytest.mark.parametrize(
    ("claimed", "client", "chain"),
    [
        ([], "10.0.0.1", ()),
        ([b"203.0.113.9"], "203.0.113.9", ("10.0.0.1",)),
        ([b"evil, 203.0.113.9"], "203.0.113.9", ("10.0.0.1",)),
        ([b"10.6.6.6,203.0.113.9 , 10.0.0.2"], "203.0.113.9", ("10.0.0.2", "10.0.0.1")),
        ([b"1.1.1.1", b"203.0.113.9", b"10.0.0.2"], "203.0.113.9", ("10.0.0.2", "10.0.0.1")),
        ([b"10.0.0.3, 10.0.0.2"], "10.0.0.3", ("10.0.0.2", "10.0.0.1")),
        ([b"203.0.113.9:4711"], "203.0.113.9", ("10.0.0.1",)),
        ([b"[2001:DB8:0::1]:4711"], "2001:db8::1", ("10.0.0.1",)),
        ([b"[2001:db8::1]"], "2001:db8::1", ("10.0.0.1",)),
        ([b"2001:db8::1, fd00::2"], "2001:db8::1", ("fd00::2", "10.0.0.1")),
        ([b"203.0.113.9, ::ffff:10.0.0.2"], "203.0.113.9", ("10.0.0.2", "10.0.0.1")),
    ],
)
def test_the_walk_ends_at_the_first_untrusted_address(
    claimed: list[bytes], client: str, chain: tuple[str, ...]
) -> None:
    assert client_address(Peer(address="10.0.0.1"), claimed, TRUSTED) == (client, chain)


@pytest.mark.parametrize(
    "entry",
    [
        b"", b" ", b"unknown", b"_hidden", b"1.2.3", b"1.2.3.4.5", b"01.2.3.4", b"256.1.1.1", b"1.2.3.4:",
        b"1.2.3.4:x", b"1.2.3.4 5",
        b"[::1", b"::1]", b"[]", b"fe80::1%eth0", b"for=1.2.3.4", b'"1.2.3.4"', b"1.2.3.4\r\nX: y", b"\xff",
        b"localhost", b"0x7f.1", b"2130706433",
    ],
)  # fmt: skip
def test_a_malformed_entry_ends_the_walk_at_the_last_trusted_hop(entry: bytes) -> None:
    claimed = [b"1.1.1.1, " + entry + b", 10.0.0.2"]
    assert client_address(Peer(address="10.0.0.1"), claimed, TRUSTED) == ("10.0.0.2", ("10.0.0.1",))


def test_an_ipv4_peer_of_a_dual_stack_socket_is_an_ipv4_peer() -> None:
    assert client_address(Peer(address="::ffff:10.0.0.1"), [b"203.0.113.9"], TRUSTED) == (
        "203.0.113.9",
        ("10.0.0.1",),
    )
    assert client_address(Peer(address="::ffff:203.0.113.9"), [], ()) == ("203.0.113.9", ())
    assert client_address(Peer(address="fe80::1%eth0"), [], ()) == ("fe80::1", ())


@pytest.mark.parametrize(
    ("claimed", "chain", "scheme"),
    [
        ([b"https"], ("10.0.0.1",), "https"),
        ([b" HTTPS "], ("10.0.0.1",), "https"),
        ([b"http"], ("10.0.0.1",), "http"),
        ([b"https, http"], ("10.0.0.1",), "http"),
        ([b"https", b"http"], ("10.0.0.1",), "http"),
        ([b"https, http"], ("10.0.0.2", "10.0.0.1"), "https"),
        ([b"http, https, http"], ("10.0.0.2", "10.0.0.1"), "https"),
        ([b"https"], ("10.0.0.2", "10.0.0.1"), "https"),
        ([b"https"], (), "https"),
        ([b"ftp"], ("10.0.0.1",), "http"),
        ([b""], ("10.0.0.1",), "http"),
        ([b"https\r\nX: y"], ("10.0.0.1",), "http"),
        ([b"https" + b",http" * 3000], ("10.0.0.1",), "http"),
        ([b",".join([b"https"] * 40)], ("10.0.0.1",) * 35, "https"),
    ],
)
def test_the_scheme_is_the_one_that_the_first_trusted_hop_saw(
    claimed: list[bytes], chain: tuple[str, ...], scheme: str
) -> None:
    peer = Peer(address="10.0.0.1")
    assert client_scheme(peer, tuple(claimed), chain, TRUSTED) == scheme
    # Without a trusted hop nobody vouches for it, and where it is none the connection speaks for itself.
    assert client_scheme(Peer(address="203.0.113.1"), tuple(claimed), (), TRUSTED) == "http"
    assert client_scheme(Peer(address="203.0.113.1", scheme="https"), (b"http",), (), TRUSTED) == "https"
    assert client_scheme(Peer(address="10.0.0.1", scheme="https"), (b"ftp",), chain, TRUSTED) == "https"


def test_a_trusted_peer_without_an_address_vouches_like_one_with() -> None:
    peer = Peer(address="unix", is_trusted=True)
    assert client_address(peer, [b"1.2.3.4, 10.0.0.2"], TRUSTED) == ("1.2.3.4", ("10.0.0.2", "unix"))
    assert client_address(peer, [], TRUSTED) == ("unix", ())
    assert client_scheme(peer, (b"https",), (), ()) == "https"
    assert b"X-Forwarded-For: 1.2.3.4, 10.0.0.2, unknown\r\n" in forwarding_lines(
        "1.2.3.4", b"a", "http", ("10.0.0.2", "unix")
    )


def test_a_peer_without_an_address_is_never_trusted() -> None:
    assert client_address(Peer(address="unix"), [b"1.2.3.4"], TRUSTED) == ("unix", ())


def test_a_list_without_end_is_not_walked_to_its_end() -> None:
    client, chain = client_address(Peer(address="10.0.0.1"), [b"203.0.113.9" + b",10.0.0.2" * 3000], TRUSTED)
    assert client == "10.0.0.2"
    assert len(chain) == MAX_HOPS


def told(client: str, authority: bytes, chain: tuple[str, ...]) -> list[str]:
    lines = forwarding_lines(client, authority, "http", chain).decode().split("\r\n")
    assert lines.pop() == ""
    return lines


def test_the_upstream_is_told_where_the_request_came_from() -> None:
    assert told("203.0.113.9", b"api.example.com", ()) == [
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Host: api.example.com",
        "X-Forwarded-Proto: http",
        "Forwarded: for=203.0.113.9;host=api.example.com;proto=http",
    ]


def test_the_upstream_is_told_every_hop_that_is_believed() -> None:
    hops = 'for="[2001:db8::1]", for=10.0.0.2, for="[fd00::1]"'
    assert told("2001:db8::1", b"api.example.com:8080", ("10.0.0.2", "fd00::1")) == [
        "X-Forwarded-For: 2001:db8::1, 10.0.0.2, fd00::1",
        "X-Forwarded-Host: api.example.com:8080",
        "X-Forwarded-Proto: http",
        f'Forwarded: {hops};host="api.example.com:8080";proto=http',
    ]


def test_a_client_without_an_address_is_unknown() -> None:
    assert told("unix", b"[::1]", ()) == [
        "X-Forwarded-For: unknown",
        "X-Forwarded-Host: [::1]",
        "X-Forwarded-Proto: http",
        'Forwarded: for=unknown;host="[::1]";proto=http',
    ]


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_no_inbound_value_can_add_a_line(claimed: list[bytes]) -> None:
    client, chain = client_address(Peer(address="10.0.0.1"), claimed, TRUSTED)
    assert forwarding_lines(client, b"api.example.com", "http", chain).count(b"\r\n") == 4
