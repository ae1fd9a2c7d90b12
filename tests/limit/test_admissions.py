from dataclasses import replace

from proxy.limit.admissions import Admissions
from proxy.limit.table import Table
from proxy.model.policy import Policy, Rule
from proxy.model.rate_limit import Per, RateLimit
from proxy.model.route import Route

FEW = RateLimit(name="few", per=Per.CLIENT, count=2, window_s=60.0, burst=2)


def a_route(name: str = "api", *limits: RateLimit, max_in_flight: int | None = None) -> Route:
    policy = Policy(route=name, allow=(Rule(roles=frozenset({"ci"})),))
    return Route(
        name=name,
        paths=("/**",),
        policy=policy,
        upstream="u",
        rate_limits=limits,
        max_in_flight=max_in_flight,
    )


def test_a_route_without_limits_has_no_admission() -> None:
    admissions = Admissions()
    assert admissions.route(a_route()) is None
    assert admissions.door(()) is None
    assert repr(admissions) == "<Admissions [0 routes, 0 rate limits]>"


def test_no_memory_is_taken_where_nothing_is_limited() -> None:
    admissions = Admissions()
    admissions.open({}, 100)
    assert admissions.table is None


def test_a_table_that_was_brought_is_used() -> None:
    admissions = Admissions()
    admissions.table = table = Table.create(100)
    admissions.open({"few": FEW}, 100)
    assert admissions.table is table


def test_a_reload_gives_nobody_a_new_budget() -> None:
    admissions = Admissions()
    admissions.open({"few": FEW}, 100)
    before = admissions.route(a_route("api", FEW, max_in_flight=9))
    assert before is not None
    assert [before.admit(None, "a", 1.0).refusal for _ in range(2)] == [None, None]
    admissions.open({"few": FEW}, 200)
    after = admissions.route(a_route("api", FEW, max_in_flight=9))
    assert after is not None
    assert after.admit(None, "a", 1.0).refusal is not None
    assert dict(admissions.refused()) == {"few": 1}
    assert {name: places.in_flight for name, places in admissions.places()} == {"api": 2}


def test_the_door_counts_for_all_routes_together() -> None:
    admissions = Admissions()
    admissions.open({"few": FEW}, 100)
    door = admissions.door((FEW,))
    assert door is not None
    assert [door.admit(None, "a", 1.0).refusal is None for _ in range(3)] == [True, True, False]


def test_numbers_are_read_while_a_reload_brings_more() -> None:
    """A reload is staged on a thread, and may do so in the middle of a scrape."""
    admissions = Admissions()
    admissions.open({"few": FEW}, 100)
    admissions.route(a_route("one", FEW))
    places, refused = admissions.places(), admissions.refused()
    assert (next(places)[0], next(refused)[0]) == ("one", "few")
    admissions.route(a_route("two", replace(FEW, name="more")))
    assert [name for name, _ in (*places, *refused)] == []


def test_the_numbers_of_what_a_reload_removed_go_with_it() -> None:
    """Or each name there ever was would stay a label for ever; who is in flight is not lost."""
    admissions = Admissions()
    admissions.open({"few": FEW}, 100)
    busy = admissions.route(a_route("busy", replace(FEW, name="more"), max_in_flight=1))
    assert busy is not None
    assert busy.admit(None, "a", 1.0).refusal is None
    for name in ("idle", "kept"):
        admissions.route(a_route(name, FEW, max_in_flight=1))
    admissions.keep({"kept"}, {"few"})
    assert [name for name, _ in admissions.places()] == ["busy", "kept"]
    assert [name for name, _ in admissions.refused()] == ["few"]
    again = admissions.route(a_route("busy", max_in_flight=1))
    assert again is not None
    assert again.admit(None, "a", 1.0).refusal is not None
    busy.leave()
    admissions.keep({"kept"}, {"few"})
    assert [name for name, _ in admissions.places()] == ["kept"]
