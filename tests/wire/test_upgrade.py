"""Which upgrades are asked for, and which 101 answers them."""

import pytest

from proxy.wire.upgrade import Upgrade, find_upgrade

KEY = (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ==")  # RFC 6455, 1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
ALLOWED = frozenset({"websocket", "spdy/3.1", "tcp"})


def flat(*headers: tuple[bytes, bytes]) -> list[bytes]:
    return [part for name, value in headers for part in (name, b": ", value, b"\r\n")]


def found(*headers: tuple[bytes, bytes], method: str = "GET") -> Upgrade:
    upgrade = find_upgrade(method, list(headers), ALLOWED)
    assert upgrade is not None
    return upgrade


def test_a_websocket_handshake_is_asked_for_in_lines_of_ours() -> None:
    upgrade = found((b"Upgrade", b"WebSocket"), KEY)
    assert upgrade.lines == b"Connection: upgrade\r\nUpgrade: WebSocket\r\n"
    assert (upgrade.protocols, upgrade.accept) == (frozenset({b"websocket"}), ACCEPT)


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ([b"h2c, websocket"], b"websocket"),
        ([b"tcp", b"websocket"], b"tcp, websocket"),
        ([b"SPDY/3.1,tcp"], b"SPDY/3.1, tcp"),
        ([b"tcp, tcp ,,tcp"], b"tcp"),
        ([b"spdy/3.2, tcp"], b"tcp"),
        ([b"tcp/1, TCP"], b"TCP"),
    ],
)
def test_only_what_the_route_allows_is_asked_for(values: list[bytes], asked: bytes) -> None:
    upgrade = found(*((b"Upgrade", value) for value in values), KEY)
    assert upgrade.lines == b"Connection: upgrade\r\nUpgrade: %b\r\n" % asked


NO_UPGRADE: dict[str, tuple[list[tuple[bytes, bytes]], str]] = {
    "nothing": ([KEY], "GET"),
    "not allowed": ([(b"Upgrade", b"h2c")], "GET"),
    "not in one name": ([(b"Upgrade", b"web socket")], "GET"),
    "no key": ([(b"Upgrade", b"websocket")], "GET"),
    "two keys": ([(b"Upgrade", b"websocket"), KEY, KEY], "GET"),
    "a key and its other spelling": (
        [(b"Upgrade", b"websocket"), KEY, (b"Sec_WebSocket_Key", KEY[1])],
        "GET",
    ),
    "a short key": ([(b"Upgrade", b"websocket"), (KEY[0], b"AAAA")], "GET"),
    "a key of seventeen bytes": ([(b"Upgrade", b"websocket"), (KEY[0], b"A" * 23 + b"=")], "GET"),
    "a key with bits too many": ([(b"Upgrade", b"websocket"), (KEY[0], b"A" * 21 + b"B==")], "GET"),
    "another method": ([(b"Upgrade", b"websocket"), KEY], "POST"),
}


@pytest.mark.parametrize(("headers", "method"), NO_UPGRADE.values(), ids=NO_UPGRADE.keys())
def test_anything_else_is_a_request_like_any_other(headers: list[tuple[bytes, bytes]], method: str) -> None:
    assert find_upgrade(method, list(headers), ALLOWED) is None


def test_a_handshake_that_is_none_leaves_the_other_protocols() -> None:
    assert found((b"Upgrade", b"websocket, tcp"), method="POST").protocols == {b"tcp"}


@pytest.mark.parametrize(
    ("named", "lines"),
    [
        ([b"websocket"], flat((b"Sec-WebSocket-Accept", ACCEPT))),
        ([b" WebSocket\t"], flat((b"X", b"y"), (b"sec-websocket-accept", ACCEPT + b" "))),
        ([b"tcp"], []),
        ([b"TCP"], flat((b"Sec-WebSocket-Accept", b"of no concern"))),
    ],
)
def test_a_101_that_names_one_of_them_is_an_answer(named: list[bytes], lines: list[bytes]) -> None:
    assert found((b"Upgrade", b"websocket, tcp"), KEY).is_answered_by(named, lines)


NO_ANSWER: dict[str, tuple[list[bytes], list[bytes]]] = {
    "no protocol": ([], flat((b"Sec-WebSocket-Accept", ACCEPT))),
    "another protocol": ([b"spdy/3.1"], []),
    "two protocols": ([b"tcp, websocket"], flat((b"Sec-WebSocket-Accept", ACCEPT))),
    "two lines": ([b"tcp", b"tcp"], []),
    "an empty name": ([b""], []),
    "no accept": ([b"websocket"], []),
    "a wrong accept": ([b"websocket"], flat((b"Sec-WebSocket-Accept", ACCEPT.lower()))),
    "two accepts": ([b"websocket"], flat(*[(b"Sec-WebSocket-Accept", ACCEPT)] * 2)),
    "the key for an accept": ([b"websocket"], flat((b"Sec-WebSocket-Accept", KEY[1]))),
}


@pytest.mark.parametrize(("named", "lines"), NO_ANSWER.values(), ids=NO_ANSWER.keys())
def test_any_other_101_is_none(named: list[bytes], lines: list[bytes]) -> None:
    assert not found((b"Upgrade", b"websocket, tcp"), KEY).is_answered_by(named, lines)
