"""Which pools go on, and when the others end; tests/journeys/test_reload.py shows it with requests."""

from dataclasses import replace

from proxy.forward.pool import Pool
from proxy.live import Live
from proxy.model.upstream import Upstream
from proxy.succession import Retired, succeed
from proxy.tasks import TaskOwner
from tests.test_live import live

ONE = Upstream(
    name="one",
    host="127.0.0.1",
    port=1,
    max_connections=1,
    max_waiting=1,
    connect_timeout_s=1,
    response_timeout_s=1,
    body_idle_timeout_s=1,
    keep_alive_s=1,
)
TWO = replace(ONE, name="two")


def pool(upstream: Upstream) -> Pool:
    return Pool(upstream, TaskOwner(), lambda: 0.0)


def test_an_upstream_that_did_not_change_keeps_its_pool() -> None:
    before = succeed({}, [ONE, TWO], pool)
    after = succeed(before, [ONE, replace(TWO, port=2)], pool)
    assert after["one"] is before["one"]
    assert after["two"] is not before["two"]
    assert after["two"].upstream.port == 2
    assert list(succeed(before, [TWO], pool)) == ["two"]


class Lending:
    """A pool of which a test says what it carries."""

    upstream = ONE

    def __init__(self) -> None:
        self.busy_count = 0
        self.waiting_count = 0
        self.swept: list[float] = []
        self.is_closed = False

    def sweep(self, now: float) -> None:
        self.swept.append(now)

    def close(self) -> None:
        self.is_closed = True


def retired(pool: Lending) -> tuple[Retired, list[Live]]:
    made, held = Retired(), [live()]
    made.add([pool], held[0])
    return made, held


def test_a_pool_outlives_every_request_that_may_use_it() -> None:
    """A request may hold the old configuration while its issuer's keys are fetched, far from any pool."""
    lending = Lending()
    made, held = retired(lending)
    made.sweep(1.0)
    assert (lending.is_closed, lending.swept, len(made)) == (False, [1.0], 1)
    held.clear()
    lending.busy_count = 1
    made.sweep(2.0)
    lending.busy_count, lending.waiting_count = 0, 1
    made.sweep(3.0)
    assert (lending.is_closed, len(made)) == (False, 1)
    lending.waiting_count = 0
    made.sweep(4.0)
    assert (lending.is_closed, lending.swept, len(made)) == (True, [1.0, 2.0, 3.0, 4.0], 0)
    made.sweep(5.0)
    assert lending.swept[-1] == 4.0


def test_the_end_of_everything_is_theirs_too() -> None:
    lending = Lending()
    made, _ = retired(lending)
    made.close()
    assert (lending.is_closed, len(made)) == (True, 0)
