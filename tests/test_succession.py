"""Which pools go on, and when the others end; tests/journeys/test_reload.py shows it with requests."""

from pathlib import Path

from proxy.live import Live
from proxy.model.upstream import Upstream
from proxy.settings.convert import upstreams_of
from proxy.succession import Retired, succeed
from tests.test_assemble import settings_of
from tests.test_live import live


def upstreams_at(folder: Path, **ports: int) -> tuple[Upstream, ...]:
    urls = {name: {"url": f"http://127.0.0.1:{port}"} for name, port in ports.items()}
    return upstreams_of(settings_of(folder, upstreams={"api": {"url": "http://127.0.0.1:9"}, **urls}))[1:]


class Lending:
    """A pool of which a test says what it carries."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.busy_count = 0
        self.waiting_count = 0
        self.swept: list[float] = []
        self.is_closed = False
        self.is_draining = False

    def drain(self) -> None:
        self.is_draining = True

    def sweep(self, now: float) -> None:
        self.swept.append(now)

    def close(self) -> None:
        self.is_closed = True


def test_an_upstream_that_did_not_change_keeps_its_pool(tmp_path: Path) -> None:
    before = succeed({}, upstreams_at(tmp_path, one=1, two=2), Lending)
    after = succeed(before, upstreams_at(tmp_path, one=1, two=3), Lending)
    assert list(after) == ["one", "two"]
    assert after["one"] is before["one"]
    assert after["two"] is not before["two"]
    assert list(succeed(before, upstreams_at(tmp_path, two=2), Lending).values()) == [before["two"]]


def retired(pool: Lending) -> tuple[Retired, list[Live]]:
    made, held = Retired(), [live()]
    made.add([pool], held[0])
    return made, held


def test_a_pool_outlives_every_request_that_may_use_it(tmp_path: Path) -> None:
    """A request may hold the old configuration while its issuer's keys are fetched, far from any pool."""
    lending = Lending(*upstreams_at(tmp_path, one=1))
    made, held = retired(lending)
    assert lending.is_draining
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


def test_a_pool_that_outlived_a_reload_outlives_the_requests_from_before_it(tmp_path: Path) -> None:
    """It stood in both configurations, and without a sweep no request that it carries has a deadline."""
    lending, made = Lending(*upstreams_at(tmp_path, one=1)), Retired()
    first, second = [live()], [live()]
    made.add([], first[0])  # a reload that kept the pool
    made.add([lending], second[0])  # and one that did not
    second.clear()
    made.sweep(1.0)
    assert (lending.is_closed, len(made)) == (False, 1)
    first.clear()
    made.sweep(2.0)
    assert (lending.is_closed, len(made)) == (True, 0)


def test_the_end_of_everything_is_theirs_too(tmp_path: Path) -> None:
    lending = Lending(*upstreams_at(tmp_path, one=1))
    made, _ = retired(lending)
    made.close()
    assert (lending.is_closed, len(made)) == (True, 0)
