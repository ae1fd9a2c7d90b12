from pathlib import Path

from proxy.seat import RATES, Seat, listening_at


def test_descriptors_of_sockets_are_found_by_the_position_of_their_door() -> None:
    given = {RATES: 5, listening_at(10, 0): 9, listening_at(0, 0): 6, listening_at(0, 1): 7}
    seat = Seat(number=0, admin_path=Path("a"), descriptors=given)
    assert seat.listening == {0: [6, 7], 10: [9]}


def test_by_default_nothing_is_shared() -> None:
    assert Seat(number=0, admin_path=Path("a")).listening == {}
