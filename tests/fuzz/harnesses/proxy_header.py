"""The start of a connection behind a load balancer: one PROXY header however it is split, or none."""

from collections.abc import Iterable
from ipaddress import ip_address
from itertools import repeat

from proxy.model.peer import WITHOUT_ADDRESS
from proxy.wire.proxy_protocol import MAX_V1_BYTES, MAX_V2_BYTES, V2_SIGNATURE, ProxyHeader, read_header
from tests.wire.feeding import fed

BEHIND = b"\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n"


def check(data: bytes) -> None:
    """Read `data` in one piece, in many, and as the fuzzer says: by the sizes that its own bytes are."""
    outcome = outcome_of(data, ())
    for sizes in (repeat(1), repeat(2), repeat(13), (byte + 1 for byte in reversed(data))):
        assert outcome_of(data, sizes) == outcome
    if not isinstance(outcome, str):
        _check_header(data, *outcome)


def outcome_of(data: bytes, sizes: Iterable[int]) -> tuple[ProxyHeader, bytes] | str:
    """Return the header and what is behind it, or why there is none."""
    try:
        return fed(data, sizes)
    except ValueError:
        return "refused"
    except EOFError:
        return "cut"


def _check_header(data: bytes, header: ProxyHeader, left: bytes) -> None:
    whole = data[: len(data) - len(left)]
    assert whole + left == data
    assert len(whole) <= (MAX_V2_BYTES if whole.startswith(V2_SIGNATURE) else MAX_V1_BYTES)
    assert read_header(whole) == header
    # What follows belongs to somebody else, and can change nothing.
    assert fed(whole + BEHIND) == (header, BEHIND)
    if header.address not in (None, WITHOUT_ADDRESS):
        assert str(ip_address(header.address)) == header.address
