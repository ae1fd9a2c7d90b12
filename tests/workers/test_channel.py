"""The socket between supervisor and worker: whole messages, bounded, and news of the other end."""

import asyncio
import pickle
import socket
import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from proxy.workers import channel as module
from proxy.workers.channel import Answer, Channel, ChannelClosedError, Message, Order

Ends = tuple[Channel, Channel]


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[Ends]:
    ours, theirs = socket.socketpair()
    pair = await Channel.on(ours), await Channel.on(theirs)
    yield pair
    for end in pair:
        end.close()
    await asyncio.sleep(0)


async def test_orders_and_answers_arrive_in_order(ends: Ends) -> None:
    up, down = ends
    for order in Order:
        up.order(Message(order=order, loaded_at=1.5))
    assert [(await down.next_order()).order for _ in Order] == list(Order)
    down.answer(Answer(ok=False, detail="no\n`keys`"))
    down.answer(Answer(ok=True))
    assert await up.next_answer() == Answer(ok=False, detail="no\n`keys`")
    assert await up.next_answer() == Answer(ok=True)


async def test_the_end_of_one_side_is_news_to_the_other(ends: Ends) -> None:
    up, down = ends
    up.close()
    with pytest.raises(ChannelClosedError):
        await down.next_order()
    down.answer(Answer(ok=True))
    down.close()
    down.answer(Answer(ok=True))


async def test_half_a_message_is_none(ends: Ends) -> None:
    up, down = ends
    up._writer.write(struct.pack("!I", 100) + b"half")
    up.close()
    with pytest.raises(ChannelClosedError, match="gone"):
        await down.next_order()


async def test_a_supervisor_reads_no_pickle_and_nothing_longer_than_an_answer(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    up, down = ends
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 200)
    down._send(pickle.dumps(Answer(ok=True)))
    with pytest.raises(ChannelClosedError, match="no answer"):
        await up.next_answer()
    down.answer(Answer(ok=True, detail="x" * 200))
    with pytest.raises(ChannelClosedError, match="longer"):
        await up.next_answer()


async def test_what_is_no_order_is_refused(ends: Ends) -> None:
    up, down = ends
    up._send(pickle.dumps("order"))
    with pytest.raises(ChannelClosedError, match="no order"):
        await down.next_order()
