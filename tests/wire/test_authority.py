import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RequestError
from proxy.model.decision import Reason
from proxy.wire.authority import MAX_KNOWN_HOSTS, parse_authority


@pytest.mark.parametrize(
    ("claimed", "host", "authority"),
    [
        (b"example.com", "example.com", b"example.com"),
        (b"Example.COM", "example.com", b"example.com"),
        (b" example.com\t", "example.com", b"example.com"),
        (b"example.com:8080", "example.com", b"example.com:8080"),
        (b"localhost", "localhost", b"localhost"),
        (b"my_service.default", "my_service.default", b"my_service.default"),
        (b"xn--bcher-kva.example:1", "xn--bcher-kva.example", b"xn--bcher-kva.example:1"),
        (b"127.0.0.1:65535", "127.0.0.1", b"127.0.0.1:65535"),
        (b"1.2.3.4.example", "1.2.3.4.example", b"1.2.3.4.example"),
        (b"3com.example", "3com.example", b"3com.example"),
        (b"[::1]:8080", "[::1]", b"[::1]:8080"),
        (b"[2001:DB8:0:0:0:0:0:1]", "[2001:db8::1]", b"[2001:db8::1]"),
        (b"a" * 63 + b".example", "a" * 63 + ".example", b"a" * 63 + b".example"),
    ],
)  # fmt: skip
def test_one_form_for_every_spelling(claimed: bytes, host: str, authority: bytes) -> None:
    assert parse_authority(claimed) == (host, authority)


def test_a_name_has_at_most_253_characters() -> None:
    longest = f"{'a' * 63}." * 3 + "b" * 61
    assert parse_authority(longest.encode()) == (longest, longest.encode())
    with pytest.raises(RequestError):
        parse_authority(longest.encode() + b"b")


@pytest.mark.parametrize(
    "claimed",
    [
        b"", b" ", b".", b"a..b", b".a", b"example.com.", b"example.com.:80", b"a b", b"a,b", b"a\tb",
        b"a\0", b"a\r\nX: y",
        b"user@example.com", b"user:pw@example.com", b"http://example.com", b"example.com/",
        b"example.com?", b"example.com#",
        b"example.com\\", b"ex%61mple.com", b"b\xc3\xbccher.example", b"\xe2\x84\xaa.example", b"a*b",
        b"*.example.com",
        b"example.com:", b"example.com:0", b"example.com:080", b"example.com:65536", b"example.com:99999",
        b"example.com:-1",
        b"example.com:+80", b"example.com:8 0", b"example.com:80:80", b"example.com:http", b":80",
        b"a" * 64 + b".example", b".".join([b"a" * 63] * 3 + [b"b" * 62]), b"a." * 200 + b"a",
    ],
)  # fmt: skip
def test_what_is_no_plain_host_is_refused(claimed: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        parse_authority(claimed)
    assert refused.value.reason is Reason.AMBIGUOUS_HOST


@pytest.mark.parametrize(
    "claimed",
    [
        b"127.1", b"127.0.1", b"2130706433", b"0x7f.1", b"0x7f000001", b"0177.0.0.1", b"127.0.0.01",
        b"256.1.1.1", b"1.2.3.4.5",
        b"0x", b"0X7F.0.0.1", b"example.1", b"example.0x1", b"127.0.0.1.", b"127.0.0",
    ],
)  # fmt: skip
def test_a_number_that_is_an_address_to_some_is_refused(claimed: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        parse_authority(claimed)
    assert refused.value.reason is Reason.AMBIGUOUS_HOST


@pytest.mark.parametrize(
    "claimed",
    [b"[]", b"[::1", b"::1", b"[::1]x", b"[fe80::1%eth0]", b"[fe80::1%25eth0]", b"[::ffff:127.0.0.1]",
    b"[::ffff:7f00:1]",
     b"[1.2.3.4]", b"[v1.a]", b"[:::1]", b"[1:2:3:4:5:6:7:8:9]", b"[12345::]", b"[::1]:", b"[[::1]]"],
)  # fmt: skip
def test_what_is_no_plain_ipv6_address_is_refused(claimed: bytes) -> None:
    with pytest.raises(RequestError):
        parse_authority(claimed)


def test_hosts_that_an_attacker_makes_up_do_not_pile_up() -> None:
    for number in range(MAX_KNOWN_HOSTS * 3):
        parse_authority(b"made-up-%d.example" % number)
    assert parse_authority.cache_info().currsize <= MAX_KNOWN_HOSTS
    refused_before = parse_authority.cache_info().currsize
    with pytest.raises(RequestError):
        parse_authority(b"x" * 20_000)
    assert parse_authority.cache_info().currsize == refused_before


@given(st.text(alphabet="abzAZ019-_.:[]xX", max_size=24))
def test_reading_a_canonical_authority_again_changes_nothing(claimed: str) -> None:
    try:
        host, authority = parse_authority(claimed.encode())
    except RequestError:
        return
    assert parse_authority(authority) == (host, authority)
    assert host == host.lower()
    assert authority.startswith(host.encode())
