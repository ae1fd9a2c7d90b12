"""
Good, refused and unreadable requests on one connection, in any pieces.

Answers come in order, one for each request and each to its own, and none behind the first request that
cannot be read.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.budget import examples
from tests.fuzz.bytes_of import pieces_of
from tests.fuzz.world import World, converse, read_responses
from tests.kit.local_proxy import HOST, bearer
from tests.kit.local_proxy import request as good_request

SUBJECTS = ("mira", "noor", "otto")


@dataclass(frozen=True)
class Item:
    """
    One request, the status of its answer, and what of it the upstream tells.

    `is_last` ends the connection; `may_be_last` does if it is refused while its body is still coming.
    """

    data: bytes
    status: int
    answer: bytes | None = None
    is_last: bool = False
    may_be_last: bool = False


def good(number: int, subject: str, kind: str) -> Item:
    """Return a request that is forwarded."""
    path, body = f"/good/{number}", b"body of %d" % number
    if kind == "get":
        data, method, body = good_request("GET", path, subject=subject), b"GET", b""
    elif kind == "length":
        data, method = good_request("POST", path, body=body, subject=subject), b"POST"
    else:
        chunks = b"%x;a=b\r\n%b\r\n0\r\nX-T: v\r\n\r\n" % (len(body), body)
        head = good_request("PUT", path, b"Transfer-Encoding: chunked", subject=subject)
        data, method = head + chunks, b"PUT"
    return Item(data, 200, b"|".join([method, path.encode(), subject.encode(), body]))


HEAD = f" HTTP/1.1\r\nHost: {HOST}\r\n".encode()
REFUSED = {
    "no token": (b"GET /no-token" + HEAD + b"\r\n", 401),
    "no token, with a body": (b"POST /no-token" + HEAD + b"Content-Length: 4\r\n\r\nGET ", 401),
    "no token, in chunks": (
        b"POST /no" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        401,
    ),
    "a bad token": (b"GET /bad-token" + HEAD + b"Authorization: Bearer a.b.c\r\n\r\n", 401),
    "a path with dots": (b"GET /a/../b" + HEAD + bearer() + b"\r\n", 400),
    "no host": (b"GET /no-host HTTP/1.1\r\n" + bearer() + b"\r\n", 400),
    "a wrong host": (b"GET http://b.example/" + HEAD + bearer() + b"\r\n", 400),
}
UNREADABLE = {
    "no HTTP": (b"\x16\x03\x01 hello\r\n\r\n", 400),
    "two lengths": (b"POST /u" + HEAD + bearer() + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "both framings": (
        b"POST /u" + HEAD + bearer() + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "two codings": (
        b"POST /u" + HEAD + bearer() + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "another version": (b"GET /rtsp RTSP/1.0\r\nHost: a\r\n\r\n", 400),
    "a trace": (b"TRACE /u" + HEAD + bearer() + b"\r\n", 501),
    "a long target": (b"GET /" + b"a" * 20_000 + HEAD + b"\r\n", 414),
    "the last one": (b"GET /no-token" + HEAD + b"Connection: close\r\n\r\n", 401),
}


@st.composite
def connections(draw: st.DrawFn) -> list[Item]:
    """Return what comes on one connection, of which the last request of all closes it."""
    items = []
    for number in range(draw(st.integers(0, 6))):
        what = draw(st.sampled_from(["good", "good", "good", "refused", "refused", "unreadable"]))
        if what == "good":
            items.append(
                good(
                    number,
                    draw(st.sampled_from(SUBJECTS)),
                    draw(st.sampled_from(["get", "length", "chunks"])),
                )
            )
        elif what == "refused":
            data, status = draw(st.sampled_from(list(REFUSED.values())))
            items.append(Item(data, status, may_be_last=not data.endswith(b"\r\n\r\n") or b"chunked" in data))
        else:
            items.append(Item(*draw(st.sampled_from(list(UNREADABLE.values()))), is_last=True))
    return [*items, Item(*UNREADABLE["the last one"], is_last=True)]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


@examples(120)
@given(connections(), st.data())
def test_answers_come_in_order_and_each_to_its_own_request(
    world: World, items: list[Item], draw: st.DataObject
) -> None:
    end = next(index for index, item in enumerate(items) if item.is_last)
    expected = items[: end + 1]
    pieces = draw.draw(pieces_of(b"".join(item.data for item in items)))
    if len(pieces) > 500:
        pieces = [b"".join(pieces[at : at + 50]) for at in range(0, len(pieces), 50)]

    async def talk() -> None:
        received = await converse(world.proxy.port, pieces)
        responses = read_responses(received)
        if 0 < len(responses) < len(expected) and expected[len(responses) - 1].may_be_last:
            del expected[len(responses) :]
        assert [response.status for response in responses] == [item.status for item in expected]
        for item, response in zip(expected, responses, strict=True):
            assert item.answer is None or response.body == item.answer
        assert len({dict(response.headers)[b"x-request-id"] for response in responses}) == len(responses)

    world.run(talk())
    assert world.problems == []
    assert [seen.target for seen in world.seen] == [
        item.answer.split(b"|")[1] for item in expected if item.answer is not None
    ]
