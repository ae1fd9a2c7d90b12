"""
How many tokens that nobody knows are looked at in one turn of the event loop.

Law: it makes tokens wait and decides nothing. A signature costs more than everything else about a
request, and anybody can send bad ones; without this, requests whose tokens are known would wait behind a
verification for every connection of a flood. Each client has a queue of its own. They take turns, and
whoever brings good ones goes on for as many as a turn has: a new one waits for a bad one of each client
that floods, once for each of those turns.
"""

from asyncio import Future, get_running_loop
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from proxy.identify.interfaces import Refusal
from proxy.model.decision import DENIALS, Decision, Reason
from proxy.model.identity import Identity

MISSES_PER_TURN: Final = 2
"""Tokens looked at in vain in one turn; more make known tokens wait longer, fewer make new ones."""

LOOKS_PER_TURN: Final = 16
"""Tokens from the queues looked at in one turn, good ones too: as much work as a busy turn has otherwise."""

PATIENCE_S: Final = 5.0
"""So long a token waits for its turn, as for a fetch of keys; then it is refused, which nobody remembers."""

Found = Identity | Decision | Refusal
Look = Callable[[], Found]


class Turnstile:
    """
    Lets tokens through as they come while they are good, and a few at a time once they are not.

    To be used within one running event loop. It holds a place for each request that waits, and none
    for one that was given up.
    """

    __slots__ = ("_is_turning", "_left", "_misses_per_turn", "_patience_s", "_queues", "waited")

    def __init__(self, misses_per_turn: int = MISSES_PER_TURN, patience_s: float = PATIENCE_S) -> None:
        self._misses_per_turn = misses_per_turn
        self._patience_s = patience_s
        self._left = misses_per_turn
        self._queues: OrderedDict[str, OrderedDict[Future[Found], Look]] = OrderedDict()
        self._is_turning = False
        self.waited = 0

    @property
    def is_open(self) -> bool:
        """Whether a token may be looked at now; not ahead of those that wait."""
        return self._left > 0 and not self._queues

    def count(self, found: Found) -> bool:
        """Count a token that was looked at, and return whether that was in vain."""
        # That there are no keys is the fault of no client, and found out before the signature.
        if isinstance(found, Identity) or found.reason is Reason.KEYS_UNAVAILABLE:
            return False
        self._left -= 1
        self._turn_soon()
        return True

    async def pass_through(self, client: str, look: Look) -> Found:
        """Return what `look` finds in the turn of `client`, or `overloaded` if that did not come in time."""
        if self.is_open:
            found = look()
            self.count(found)
            return found
        self.waited += 1
        loop = get_running_loop()
        place: Future[Found] = loop.create_future()
        end = loop.call_later(self._patience_s, _give_up, place)
        self._queues.setdefault(client, OrderedDict())[place] = look
        self._turn_soon()
        try:
            return await place
        finally:
            end.cancel()
            self._leave(client, place)

    def _leave(self, client: str, place: "Future[Found]") -> None:
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
        for _ in range(LOOKS_PER_TURN):
            if not self._queues or self._left <= 0:
                break
            self._serve_next()
        else:
            # A client that always has another good one must not keep everybody else waiting.
            if self._queues:
                self._queues.move_to_end(next(iter(self._queues)))
        if self._queues and self._misses_per_turn > 0:
            self._turn_soon()

    def _serve_next(self) -> None:
        """Look at a token of the client whose turn it is, which goes on while they are good."""
        client = next(iter(self._queues))
        queue = self._queues[client]
        place, look = queue.popitem(last=False)
        was_in_vain = not place.done() and self._serve(place, look)
        if not queue:
            del self._queues[client]
        elif was_in_vain:
            self._queues.move_to_end(client)

    def _serve(self, place: "Future[Found]", look: Look) -> bool:
        """Tell who waits what its token is, and return whether it was looked at in vain."""
        try:
            found = look()
        except Exception as error:
            # The boundary between requests: the fault is told to its own, and the queue goes on.
            place.set_exception(error)
            return False
        place.set_result(found)
        return self.count(found)

    def __repr__(self) -> str:
        waiting = sum(len(queue) for queue in self._queues.values())
        return f"<Turnstile [{waiting} waiting, {self._left} of {self._misses_per_turn} left]>"


def _give_up(place: "Future[Found]") -> None:
    if not place.done():
        place.set_result(DENIALS[Reason.OVERLOADED])
