"""
How many tokens that nobody knows are looked at in one turn of the event loop.

Law: it makes tokens wait and decides nothing. A signature costs more than everything else about a
request, and anybody can send bad ones; without this, requests whose tokens are known would wait behind a
verification for every connection of a flood. Each client has a queue of its own and they take turns, so
that a token that is good and new waits for those of its own client, not for an attacker's.
"""

from asyncio import Future, get_running_loop
from collections import OrderedDict

MISSES_PER_TURN = 2
"""
Tokens looked at in vain in one turn, or let through from the queues.

More of them make known tokens wait longer, fewer give what there is to do besides more weight.
"""


class Turnstile:
    """
    Lets unknown tokens through, all at once while they are good and a few at a time once they are not.

    To be used within one running event loop. It holds a place for each request that waits, and none
    for one that was given up.
    """

    __slots__ = ("_is_turning", "_left", "_misses_per_turn", "_queues", "waited")

    def __init__(self, misses_per_turn: int = MISSES_PER_TURN) -> None:
        self._misses_per_turn = misses_per_turn
        self._left = misses_per_turn
        self._queues: OrderedDict[str, OrderedDict[Future[None], None]] = OrderedDict()
        self._is_turning = False
        self.waited = 0

    @property
    def is_open(self) -> bool:
        """Whether a token may be looked at now; nobody waits then."""
        return self._left > 0

    def miss(self) -> None:
        """Count a token that was looked at in vain."""
        self._left -= 1
        self._turn_soon()

    async def wait(self, client: str) -> None:
        """Return when a token of `client` may be looked at; whether that is in vain is counted already."""
        if self.is_open:
            self.miss()
            return
        self.waited += 1
        place: Future[None] = get_running_loop().create_future()
        self._queues.setdefault(client, OrderedDict())[place] = None
        self._turn_soon()
        try:
            await place
        finally:
            self._leave(client, place)

    def _leave(self, client: str, place: "Future[None]") -> None:
        # Whoever gave up must not be kept: clients that come and go would fill the queue.
        queue = self._queues.get(client)
        if queue is not None and place in queue:
            del queue[place]
            if not queue:
                del self._queues[client]

    def _turn_soon(self) -> None:
        if not self._is_turning:
            self._is_turning = True
            get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._is_turning = False
        self._left = self._misses_per_turn
        while self._left > 0 and self._queues:
            self._left -= 1
            self._let_through()
        if self._left < self._misses_per_turn:
            self._turn_soon()

    def _let_through(self) -> None:
        client, queue = self._queues.popitem(last=False)
        place, _ = queue.popitem(last=False)
        if queue:
            self._queues[client] = queue
        if not place.done():
            place.set_result(None)

    def __repr__(self) -> str:
        waiting = sum(len(queue) for queue in self._queues.values())
        return f"<Turnstile [{waiting} waiting, {self._left} of {self._misses_per_turn} left]>"
