"""
What anybody sends, through the whole proxy, to an upstream that reads with h11.

The upstream never meets bytes that it cannot read, and reads the requests that we decided on and no others;
the client reads one answer for each.
"""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.headers import RequestHeaders
from tests.fuzz.budget import examples
from tests.fuzz.bytes_of import pieces_of
from tests.fuzz.readings import Message, comparable, head_of, is_end, read_by_us, refusal_of
from tests.fuzz.requests import REQUESTS
from tests.fuzz.world import Seen, World, converse, read_responses

PUBLIC = {
    "name": "all",
    "match": {"paths": ["/**"]},
    "upstream": "api",
    "public": True,
    "encoded_slashes": True,
}
OURS = (b"x-rolegate-request-id", b"traceparent", b"x-forwarded-for", b"forwarded", b"host")
RULES = RequestHeaders()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World([PUBLIC]) as world:
        yield world


def decided_on(data: bytes) -> tuple[list[Message], list[Message], bool]:
    """
    Return the whole requests in `data`, those of them that go on, and whether the connection may end early.

    A request that is refused while its body is still coming is the last one of its connection.
    """
    answered, forwarded, may_end = [], [], False
    for message in read_by_us(data)[0]:
        if not message.is_complete:
            break
        answered.append(message)
        refusal = refusal_of(message)
        if refusal is None:
            forwarded.append(message)
        elif is_end(refusal):
            break
        else:
            may_end = (
                may_end or bool(message.body) or b"chunked" in dict(comparable(message.headers)).values()
            )
        if message.is_last:
            break
    return answered, forwarded, may_end


@examples(120)
@given(REQUESTS, st.data())
def test_the_upstream_reads_what_we_decided_on(world: World, data: bytes, draw: st.DataObject) -> None:
    answered, forwarded, may_end = decided_on(data)
    pieces = draw.draw(pieces_of(data))

    async def talk() -> None:
        methods = [message.method for message in answered]
        received = await converse(world.proxy.port, pieces, methods=methods)
        assert may_end or len(read_responses(received, methods)) >= len(answered)

    world.run(talk())
    assert world.problems == []
    assert may_end or len(world.seen) == len(forwarded)
    for seen, message in zip(world.seen, forwarded, strict=not may_end):
        _assert_is(seen, message)


def _assert_is(seen: Seen, message: Message) -> None:
    request, _ = head_of(message, RULES)
    assert (seen.method, seen.target, seen.body) == (request.method, request.target, message.body)
    assert seen.values(b"host") == [request.authority]
    assert [len(seen.values(name)) for name in OURS] == [1] * len(OURS)
    assert seen.values(b"authorization") == []


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_what_follows_a_refusal_that_closes_costs_nobody_an_answer(world: World, size: int) -> None:
    """Found by chance: TRACE is refused and ends the connection while the client goes on sending."""
    get, last = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", b"TRACE / HTTP/1.1\r\nHost: a.example\r\n\r\n"
    data = get + get + last + get
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    methods = ["GET", "GET", "TRACE"]
    received: list[bytes] = []

    async def talk() -> None:
        received.append(await converse(world.proxy.port, pieces, methods=methods))

    world.run(talk())
    assert [one.status for one in read_responses(received[0], methods)][:2] == [200, 200]
    assert len(read_responses(received[0], methods)) == 3
    assert len(world.seen) == 2
