from proxy.workers.backoff import FIRST_S, LONG_LIFE_S, LONGEST_S, Backoff


def test_each_short_life_doubles_the_wait_up_to_a_limit() -> None:
    backoff = Backoff()
    waits = [backoff.after(LONG_LIFE_S - 0.001) for _ in range(100)]
    assert waits[:4] == [FIRST_S, FIRST_S * 2, FIRST_S * 4, FIRST_S * 8]
    assert waits[-1] == LONGEST_S
    assert waits == sorted(waits)


def test_a_long_life_starts_anew() -> None:
    backoff = Backoff()
    for _ in range(10):
        backoff.after(0.1)
    assert backoff.after(LONG_LIFE_S) == FIRST_S
    assert backoff.after(0.1) == FIRST_S * 2
    assert repr(backoff) == "<Backoff [2 short lives]>"
