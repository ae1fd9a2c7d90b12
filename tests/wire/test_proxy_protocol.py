"""PROXY headers: whole or refused, at every split, and never a byte too many."""

from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.proxy_protocol import (
    MAX_V1_BYTES,
    MAX_V2_BYTES,
    V2_SIGNATURE,
    ProxyHeader,
    missing_bytes,
    read_header,
)
from tests.fuzz.harnesses.proxy_header import check, outcome_of
from tests.wire.feeding import fed

V4 = bytes([192, 0, 2, 1, 198, 51, 100, 1]) + b"\x30\x39\x01\xbb"
V6 = bytes.fromhex("20010db800000000000000000000000120010db8000000000000000000000002") + b"\x30\x39\x01\xbb"


def v2(family: int, payload: bytes, *, command: int = 0x21, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return V2_SIGNATURE + bytes([command, family]) + size.to_bytes(2) + payload


GOOD = {
    "v1 TCP4": (b"PROXY TCP4 192.0.2.1 198.51.100.1 12345 443\r\n", "192.0.2.1"),
    "v1 TCP6": (b"PROXY TCP6 2001:DB8::1 2001:db8::2 1 65535\r\n", "2001:db8::1"),
    "v1 TCP6 mapped": (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 0 0\r\n", "192.0.2.1"),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1 unknown with text": (b"PROXY UNKNOWN ffff::1 anything at all 1\r\n", None),
    "v1 as long as allowed": (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", None),
    "v2 TCP4": (v2(0x11, V4), "192.0.2.1"),
    "v2 TCP6": (v2(0x21, V6), "2001:db8::1"),
    "v2 with TLVs": (v2(0x11, V4 + b"\x02\x00\x03abc\xff"), "192.0.2.1"),
    "v2 UNIX": (v2(0x31, bytes(216)), "unix"),
    "v2 UNSPEC": (v2(0x00, b""), None),
    "v2 UNSPEC with bytes": (v2(0x00, b"abc"), None),
    "v2 LOCAL": (v2(0x00, b"", command=0x20), None),
    "v2 LOCAL with an address": (v2(0x11, V4, command=0x20), None),
    "v2 LOCAL of a family that nobody knows": (v2(0xFF, b"abc", command=0x20), None),
    "v2 as long as allowed": (v2(0x11, V4 + bytes(MAX_V2_BYTES - 16 - 12)), "192.0.2.1"),
}

BAD = {
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "lower case": b"proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
    "another family": b"PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
    "a family and nothing": b"PROXY TCP4 \r\n    ",
    "an address too few": b"PROXY TCP4 192.0.2.1 1 2\r\n",
    "a port too few": b"PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
    "a member too many": b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n",
    "two spaces": b"PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n",
    "a space at the end": b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n",
    "a tab": b"PROXY TCP4\t192.0.2.1 198.51.100.1 1 2\r\n",
    "IPv6 as TCP4": b"PROXY TCP4 ::1 ::2 1 2\r\n",
    "IPv4 as TCP6": b"PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
    "a scope": b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    "an octal address": b"PROXY TCP4 192.0.02.1 198.51.100.1 1 2\r\n",
    "a short address": b"PROXY TCP4 127.1 198.51.100.1 1 2\r\n",
    "a bad destination": b"PROXY TCP4 192.0.2.1 198.51.100.256 1 2\r\n",
    "a port too large": b"PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n",
    "a port with a zero": b"PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
    "a negative port": b"PROXY TCP4 192.0.2.1 198.51.100.1 -1 2\r\n",
    "a bare line feed": b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n",
    "a line feed inside": b"PROXY TCP4 192.0.2.1\n198.51.100.1 1 2\r\n",
    "a bare return": b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\rX",
    "two returns": b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\r\n",
    "UNKNOWN glued": b"PROXY UNKNOWNX\r\n",
    "UNKNOWN with a control byte": b"PROXY UNKNOWN \x00\r\n",
    "no end": b"PROXY UNKNOWN " + b"f" * 200,
    "one byte too long": b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n",
    "v2 of version 1": v2(0x11, V4, command=0x11),
    "v2 of version 3": v2(0x11, V4, command=0x31),
    "v2 of another command": v2(0x11, V4, command=0x22),
    "v2 datagrams": v2(0x12, V4),
    "v2 of another family": v2(0x41, V4),
    "v2 of another transport": v2(0x13, V4),
    "v2 stream of nothing": v2(0x01, b""),
    "v2 TCP4 too short": v2(0x11, V4[:-1]),
    "v2 TCP6 too short": v2(0x21, V4),
    "v2 UNIX too short": v2(0x31, bytes(215)),
    "v2 too long": v2(0x11, V4, length=MAX_V2_BYTES - 15),
    "v2 as long as can be said": v2(0x11, V4, length=65535),
    "v2 with a broken signature": v2(0x11, V4).replace(b"QUIT", b"QUIX"),
    "v2 cut by a request": V2_SIGNATURE[:6] + b"GET / HTTP/1.1\r\n",
}


@pytest.mark.parametrize(("data", "address"), GOOD.values(), ids=GOOD.keys())
@pytest.mark.parametrize("size", [1, 2, 7, 65536])
def test_a_header_is_read_whole_and_nothing_behind_it(data: bytes, address: str | None, size: int) -> None:
    behind = b"\x16\x03\x01GET / HTTP/1.1\r\n\r\n"
    assert fed(data + behind, repeat(size)) == (ProxyHeader(address), behind)


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("size", [1, 65536])
def test_what_is_no_header_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(ValueError, match="PROXY"):
        fed(data + b"x" * 5000, repeat(size))


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_what_is_no_header_is_refused_whole_too(data: bytes) -> None:
    with pytest.raises(ValueError, match="PROXY"):
        read_header(data)


@pytest.mark.parametrize(("data", "address"), GOOD.values(), ids=GOOD.keys())
def test_a_cut_header_is_missed_and_never_read(data: bytes, address: str | None) -> None:
    for end in range(len(data)):
        assert missing_bytes(data[:end]) > 0
        with pytest.raises(ValueError, match="PROXY"):
            read_header(data[:end])


def test_a_message_holds_nothing_of_the_header() -> None:
    for data in BAD.values():
        with pytest.raises(ValueError, match="PROXY") as caught:
            fed(data + b"x" * 5000)
        assert "192" not in str(caught.value)


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", V2_SIGNATURE, V2_SIGNATURE + b"\x21\x11"]),
)
def test_any_bytes_are_read_within_bounds_or_refused(rest: bytes, start: bytes) -> None:
    data = start + rest
    try:
        header, left = fed(data)
    except (ValueError, EOFError):
        return
    assert len(data) - len(left) <= (MAX_V2_BYTES if data.startswith(V2_SIGNATURE) else MAX_V1_BYTES)
    assert read_header(data[: len(data) - len(left)]) == header


SPLITS = st.lists(st.integers(1, 40), max_size=40)
BEHIND = (
    st.sampled_from([b"", b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", V2_SIGNATURE]) | st.binary()
)


@given(st.sampled_from([*GOOD.values()]), BEHIND, SPLITS)
def test_a_header_says_the_same_however_it_is_split(
    good: tuple[bytes, str | None], behind: bytes, sizes: list[int]
) -> None:
    data, address = good
    assert fed(data + behind, sizes) == (ProxyHeader(address), behind)


@given(st.sampled_from([*GOOD.values()]), st.data(), SPLITS)
def test_a_damaged_header_is_the_same_however_it_is_split(
    good: tuple[bytes, str | None], draw: st.DataObject, sizes: list[int]
) -> None:
    """One that is cut, changed by a byte, or longer by one: whether refused, read, or waited for."""
    data = good[0]
    at = draw.draw(st.integers(0, min(len(data), 150)))
    byte = draw.draw(st.binary(max_size=1) | st.sampled_from([b"\r", b"\n", b" ", b"\0"]))
    damaged = data[:at] + byte + draw.draw(st.sampled_from([data[at:], data[at + 1 :], b""]))
    assert outcome_of(damaged, sizes) == outcome_of(damaged, ())


@given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", b"PROXY UNKNOWN", V2_SIGNATURE]))
def test_any_bytes_keep_what_the_fuzzer_checks(rest: bytes, start: bytes) -> None:
    check(start + rest)
