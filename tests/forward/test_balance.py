"""Which endpoint gets a request: evenly, where the least is going on, or always the same."""

from collections import Counter

from proxy.forward.balance import LeastOutstanding, Rendezvous, RoundRobin, choice_for
from proxy.model.upstream import Balance


class Place:
    def __init__(self, address: str, outstanding: int = 0) -> None:
        self.address = address
        self.outstanding = outstanding


PLACES = [Place(f"10.0.0.{number}:80") for number in range(1, 6)]


def key(text: str = "") -> bytes:
    return text.encode()


def test_each_way_has_its_choice() -> None:
    assert [type(choice_for(balance)) for balance in Balance] == [RoundRobin, LeastOutstanding, Rendezvous]


def test_in_turn_is_even_and_orders_the_others_behind() -> None:
    choice = RoundRobin()
    orders = [list(choice.order(PLACES[:3], key)) for _ in range(4)]
    assert orders == [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]


def test_in_turn_follows_a_list_that_shrinks() -> None:
    choice = RoundRobin()
    for count in (5, 5, 5, 2, 1, 3):
        assert sorted(choice.order(PLACES[:count], key)) == list(range(count))


def test_least_outstanding_prefers_the_idle_and_spreads_among_equals() -> None:
    choice = LeastOutstanding()
    places = [Place("a", 2), Place("b", 0), Place("c", 1)]
    assert list(choice.order(places, key)) == [1, 2, 0]
    assert {choice.order(PLACES, key)[0] for _ in range(5)} == {0, 1, 2, 3, 4}


def test_the_same_key_meets_the_same_endpoint_in_every_process() -> None:
    first = [Rendezvous().order(PLACES, lambda n=n: key(f"k{n}"))[0] for n in range(12)]  # type: ignore[misc]  # mypy does not type default arguments of lambdas
    assert first == FOREVER


def test_keys_are_spread_evenly() -> None:
    choice = Rendezvous()
    counts = Counter(choice.order(PLACES, lambda n=n: key(f"subject-{n}"))[0] for n in range(5000))  # type: ignore[misc]  # as above
    assert min(counts.values()) > 850
    assert max(counts.values()) < 1150


def test_an_endpoint_that_goes_takes_only_its_own_keys_along() -> None:
    choice = Rendezvous()
    for number in range(500):
        before = PLACES[choice.order(PLACES, lambda n=number: key(f"s{n}"))[0]]  # type: ignore[misc]  # as above
        left = [place for place in PLACES if place is not PLACES[2]]
        after = left[choice.order(left, lambda n=number: key(f"s{n}"))[0]]  # type: ignore[misc]  # as above
        assert after is before or before is PLACES[2]


# Written down, since another answer after an update would empty every cache behind us at once.
FOREVER = [4, 4, 3, 2, 0, 2, 0, 4, 2, 0, 1, 2]
