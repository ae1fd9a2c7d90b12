import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.audit import json_text
from proxy.record.chain import GENESIS, Chain, check_line

MEMBERS = [
    '"a":1',
    '"claims":{"x":1,"hash":"y"}',
    f'"b":{json_text(",hash:,prev:")}',
    '"c":{}',
    f'"d":{json_text("ü")}',
]


def sealed() -> list[bytes]:
    return Chain().seal(MEMBERS).splitlines()


def verify(lines: list[bytes]) -> None:
    prev = GENESIS
    for line in lines:
        prev = check_line(line, prev)


def test_a_chain_begins_at_the_genesis_and_verifies() -> None:
    lines = sealed()
    verify(lines)
    records = [json.loads(line) for line in lines]
    assert [record["seq"] for record in records] == [1, 2, 3, 4, 5]
    assert [record["v"] for record in records] == [1] * 5
    assert records[0]["prev"] == GENESIS
    assert [record["prev"] for record in records[1:]] == [record["hash"] for record in records[:-1]]
    assert list(records[0]) == ["v", "seq", "a", "prev", "hash"]


def test_one_batch_or_several_make_the_same_chain() -> None:
    chain = Chain()
    assert b"".join(chain.seal([member]) for member in MEMBERS).splitlines() == sealed()
    assert chain.seal([]) == b""


def test_a_single_line_is_checked_without_the_one_before() -> None:
    lines = sealed()
    assert check_line(lines[3], None) == json.loads(lines[3])["hash"]
    assert check_line(lines[3] + b"\n", None) == json.loads(lines[3])["hash"]


def tamperings() -> list[tuple[str, list[bytes]]]:
    lines = sealed()
    other = Chain().seal(['"a":2'])[:-1]
    return [
        ("change the first", [lines[0].replace(b'"a":1', b'"a":2'), *lines[1:]]),
        ("change the last", [*lines[:-1], lines[-1].replace("ü".encode(), b"u")]),
        ("change a number", [*lines[:2], lines[2].replace(b'"seq":3', b'"seq":4'), *lines[3:]]),
        ("change white space", [lines[0].replace(b'"a":1', b'"a": 1'), *lines[1:]]),
        ("drop the first", lines[1:]),
        ("drop one", [lines[0], *lines[2:]]),
        ("drop several", [lines[0], lines[4]]),
        ("swap two", [lines[0], lines[2], lines[1], *lines[3:]]),
        ("reverse", lines[::-1]),
        ("double one", [lines[0], lines[0], *lines[1:]]),
        ("insert a genuine one of another chain", [lines[0], other, *lines[1:]]),
        ("insert one with the right link", [lines[0], _linked(lines[0]), *lines[1:]]),
        ("replace the first with one of another chain", [other, *lines[1:]]),
        ("empty a line", [lines[0], b"", *lines[1:]]),
        ("cut a line short", [lines[0], lines[1][:-1], *lines[2:]]),
        ("cut the hash", [lines[0], lines[1][: lines[1].rindex(b',"hash"')] + b"}", *lines[2:]]),
        ("add behind the hash", [lines[0], lines[1] + b" ", *lines[2:]]),
        ("add a member behind the hash", [lines[0], lines[1][:-1] + b',"a":1}', *lines[2:]]),
        ("upper case hash", [lines[0], lines[1][:-66] + lines[1][-66:].upper(), *lines[2:]]),
        ("join two lines", [lines[0] + lines[1], *lines[2:]]),
    ]


def _linked(before: bytes) -> bytes:
    chain = Chain()
    chain.resume(before)
    return chain.seal(['"forged":true'])[:-1]


@pytest.mark.parametrize(("how", "lines"), tamperings(), ids=[how for how, _ in tamperings()])
def test_tampering_shows(how: str, lines: list[bytes]) -> None:
    with pytest.raises(ValueError, match="the line"):
        verify(lines)


@given(position=st.integers(0, len(b"".join(sealed())) + 3), octet=st.integers(0, 255))
def test_every_changed_byte_shows(position: int, octet: int) -> None:
    data = bytearray(b"\n".join(sealed()))
    if data[position] == octet:
        return
    data[position] = octet
    with pytest.raises(ValueError, match="the line"):
        verify(bytes(data).split(b"\n"))


def test_a_chain_goes_on_where_a_file_ends() -> None:
    chain = Chain()
    first = chain.seal(MEMBERS)
    resumed = Chain()
    resumed.resume(first.splitlines()[-1])
    verify((first + resumed.seal(MEMBERS)).splitlines())
    assert resumed.seq == 10


def test_an_empty_file_begins_a_chain() -> None:
    chain = Chain()
    chain.resume(b"")
    assert (chain.seq, chain.last_hash) == (0, GENESIS)


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        b"{}",
        b"[]",
        b"\xff",
        b'{"seq":1,"hash":"' + b"0" * 64 + b'"}',
        sealed()[0].replace(b'"a":1', b'"a":2'),
        sealed()[0][:-1],
        sealed()[0][:-10],
    ],
)
def test_a_chain_does_not_go_on_behind_what_it_does_not_know(line: bytes) -> None:
    chain = Chain()
    with pytest.raises(ValueError, match="the line"):
        chain.resume(line)
    assert (chain.seq, chain.last_hash) == (0, GENESIS)


def test_a_lone_surrogate_does_not_lose_the_batch() -> None:
    verify(Chain().seal(['"a":"\ud800"', '"b":1']).splitlines())


def test_it_is_printed_by_number_and_hash() -> None:
    chain = Chain()
    chain.seal(['"a":1'])
    assert repr(chain) == f"<Chain seq=1 hash={chain.last_hash[:12]}…>"
