"""Denied is denied in every spelling of an address."""

from ipaddress import ip_network

import pytest

from proxy.forward.networks import is_denied, is_literal
from proxy.settings.origins import METADATA_NETWORKS

METADATA = [
    *("169.254.169.254", "169.254.0.1", "169.254.255.255", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    *("fe80::1", "fe80::1%eth0", "febf::1", "fd00:ec2::254", "fd20:ce::254"),
    *("::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1"),
    *("::169.254.169.254", "::ffff:100.100.100.200"),
]


@pytest.mark.parametrize("address", METADATA)
def test_metadata_addresses_are_denied_in_every_spelling(address: str) -> None:
    assert is_denied(address, METADATA_NETWORKS)
    assert not is_denied(address, ())


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "169.253.255.255", "169.255.0.0", "100.100.100.201", "192.0.0.193"),
        *("::1", "fec0::1", "fd00:ec2::253", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::1"),
    ],
)
def test_others_are_not(address: str) -> None:
    assert not is_denied(address, METADATA_NETWORKS)


def test_what_is_configured_is_denied_too() -> None:
    denied = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert [
        is_denied(address, denied) for address in ("10.9.8.7", "::ffff:10.0.0.1", "fd00::1", "11.0.0.1")
    ] == [*(True, True, True, False)]


def test_a_literal_is_an_address() -> None:
    assert [is_literal(host) for host in ("10.0.0.1", "::1", "localhost", "a.example", "")] == [
        *(True, True, False, False, False)
    ]
