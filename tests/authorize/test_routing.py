import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.authorize.patterns import parse_host, parse_path, split_path
from proxy.authorize.routing import (
    MAX_KNOWN,
    MAX_KNOWN_CHARS,
    Miss,
    RouteTable,
    conflicts,
    mismatch,
    places,
)
from proxy.model.route import Route
from tests.authorize.nouns import a_route


def table_of(*routes: Route) -> RouteTable[str]:
    return RouteTable.build((route, route.name) for route in routes)


HOSTS = (
    a_route("exact", "/x/**", hosts=["api.example.com"]),
    a_route("below", "/**", hosts=["*.example.com"]),
    a_route("any", "/x/y", "/only-any"),
)


@pytest.mark.parametrize(
    ("host", "path", "name"),
    [
        ("api.example.com", "/x/y", "exact"),
        ("api.example.com", "/z", "below"),
        ("api.example.com", "/only-any", "below"),
        ("web.example.com", "/x/y", "below"),
        ("a.b.example.com", "/x/y", "any"),
        ("example.com", "/only-any", "any"),
        (".example.com", "/only-any", "any"),
        ("example.com", "/z", None),
        ("", "/only-any", "any"),
    ],
)
def test_more_exact_host_wins_before_any_path(host: str, path: str, name: str | None) -> None:
    assert table_of(*HOSTS).find(host, path, "GET") == name


METHODS = (
    a_route("read", "/a", methods=["GET", "HEAD"]),
    a_route("write", "/a", methods=["POST"]),
    a_route("other", "/a"),
    a_route("broad", "/**", methods=["GET", "DELETE"]),
    a_route("uncommon", "/*", methods=["PROPFIND"]),
    a_route("single", "/b", methods=["PUT"]),
)


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/a", "read"),
        ("HEAD", "/a", "read"),
        ("POST", "/a", "write"),
        ("DELETE", "/a", "other"),
        ("PATCH", "/a", "other"),
        ("OPTIONS", "/a", "other"),
        ("get", "/a", None),
        ("PROPFIND", "/a", None),
        ("PROPFIND", "/d", "uncommon"),
        ("PURGE", "/a", None),
        ("PURGE", "/c", None),
        ("PUT", "/b", "single"),
        ("GET", "/b", "broad"),
        ("POST", "/b", None),
        ("HEAD", "/b", None),
    ],
)
def test_named_method_beats_the_common_ones_and_other_methods_pass_on(
    method: str, path: str, name: str | None
) -> None:
    assert table_of(*METHODS).find("h", path, method) == name


def test_trailing_slash_does_not_slip_past_a_route() -> None:
    table = table_of(a_route("admin", "/admin"), a_route("rest", "/**"))
    assert table.find("h", "/admin/", "GET") == "admin"
    assert table_of(a_route("admin", "/admin/"), a_route("rest", "/**")).find("h", "/admin", "GET") == "admin"


def test_escape_of_a_reserved_character_does_not_slip_past_a_route() -> None:
    table = table_of(a_route("cancel", "/jobs/7:cancel"), a_route("rest", "/**"))
    assert table.find("h", "/jobs/7%3Acancel", "POST") == "cancel"


def test_encoded_slash_stays_in_its_segment() -> None:
    table = table_of(a_route("project", "/projects/*"), a_route("deep", "/projects/a/b"))
    assert table.find("h", "/projects/a%2Fb", "GET") == "project"


@pytest.mark.parametrize("path", ["*", "", "x", "example.com:443", "http://h/x"])
def test_what_is_no_path_belongs_to_no_route(path: str) -> None:
    assert table_of(a_route("all", "/**")).find("h", path, "OPTIONS") is None


def test_empty_table_finds_nothing() -> None:
    assert table_of().find("h", "/", "GET") is None


# (routes that conflict, part of the message); first and second are always `one` and `two`.
CONFLICTS = [
    ((a_route("one", "/a"), a_route("two", "/a")), "match every common method on `/a` equally well"),
    ((a_route("one", "/a/*/c"), a_route("two", "/a/*/c")), "on `/a/*/c`"),
    ((a_route("one", "/a"), a_route("two", "/a/")), "on `/a`"),
    ((a_route("one", "/%61"), a_route("two", "/a")), "on `/a`"),
    ((a_route("one", "/caf\u00e9"), a_route("two", "/caf%c3%a9")), "on `/caf%C3%A9`"),
    ((a_route("one", "/**"), a_route("two", "/**/")), "on `/**`"),
    ((a_route("one", "/a", "/b"), a_route("two", "/b", "/c")), "on `/b`"),
    (
        (a_route("one", "/a", hosts=["x.com", "y.com"]), a_route("two", "/a", hosts=["Y.com"])),
        "on `y.com/a`",
    ),
    (
        (a_route("one", "/a", hosts=["*.x.com"]), a_route("two", "/a", hosts=["*.x.com"])),
        "on `*.x.com/a`",
    ),
    (
        (a_route("one", "/a", methods=["GET", "PUT", "POST"]), a_route("two", "/a", methods=["POST", "GET"])),
        "match `GET`, `POST` on `/a`",
    ),
]


@pytest.mark.parametrize(("routes", "message"), CONFLICTS)
def test_equally_specific_routes_are_a_conflict(routes: tuple[Route, ...], message: str) -> None:
    (found,) = conflicts(routes)
    assert (found.first, found.second) == routes
    assert found.message.startswith("routes `one` and `two` match ")
    assert message in found.message
    with pytest.raises(ValueError, match="routes `one` and `two`"):
        table_of(*routes)


@pytest.mark.parametrize(
    "routes",
    [
        (a_route("one", "/a"), a_route("two", "/a", methods=["GET"])),
        (a_route("one", "/a", methods=["GET"]), a_route("two", "/a", methods=["POST"])),
        (a_route("one", "/a"), a_route("two", "/a", hosts=["x.com"])),
        (a_route("one", "/a", hosts=["*.x.com"]), a_route("two", "/a", hosts=["a.x.com"])),
        (a_route("one", "/a/*"), a_route("two", "/*/b")),
        (a_route("one", "/a/*"), a_route("two", "/a/**")),
        (a_route("one", "/a", "/a/", "/%61"),),
    ],
)
def test_routes_of_different_specificity_do_not_conflict(routes: tuple[Route, ...]) -> None:
    assert conflicts(routes) == []


def test_all_conflicts_are_reported_at_once() -> None:
    routes = [a_route("a", "/x", "/y"), a_route("b", "/x"), a_route("c", "/y"), a_route("d", "/x")]
    assert [(one.first.name, one.second.name) for one in conflicts(routes)] == [
        ("a", "b"),
        ("a", "c"),
        ("a", "d"),
    ]
    with pytest.raises(ValueError, match="routes") as caught:
        table_of(*routes)
    assert len(str(caught.value).splitlines()) == 3


def test_same_route_twice_is_a_conflict() -> None:
    route = a_route("one", "/a")
    assert len(conflicts([route, route])) == 1


def test_what_was_found_is_found_again_and_paths_without_end_take_no_memory() -> None:
    table = table_of(*HOSTS)
    for number in range(2 * MAX_KNOWN):
        path = f"/x/{number}"
        for _ in range(2):
            assert table.find("api.example.com", path, "GET") == "exact"
            assert table.find("web.example.com", path, "GET") == "below"
            assert table.find("nowhere.test", path, "GET") is None
        assert len(table._known) <= MAX_KNOWN
    assert table._known


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_only_short_places_are_remembered(excess: int) -> None:
    table = table_of(*HOSTS)
    host, method = "api.example.com", "GET"
    path = "/x/" + "a" * (MAX_KNOWN_CHARS - len(host) - len(method) - 3 + excess)
    assert table.find(host, path, method) == table.find(host, path, method) == "exact"
    assert len(table._known) == (0 if excess > 0 else 1)


def test_bad_pattern_does_not_build() -> None:
    with pytest.raises(ValueError, match="path `/a\\?b`"):
        table_of(a_route("one", "/a?b"))
    with pytest.raises(ValueError, match="host `x:1`"):
        table_of(a_route("one", "/a", hosts=["x:1"]))


@pytest.mark.parametrize("hosts", [[], ["x.com"], ["*.x.com"]])
def test_explosion_of_wildcards_does_not_build(hosts: list[str]) -> None:
    paths = ["/" + "/".join(parts) for parts in itertools.product("a*", repeat=10)]
    with pytest.raises(ValueError, match="use fewer patterns with `\\*`"):
        table_of(a_route("one", *paths, hosts=hosts))


@pytest.mark.parametrize(
    ("host", "path", "method", "miss"),
    [
        ("x.com", "/a", "GET", None),
        ("x.com", "/a", "PUT", (Miss.METHOD, "method `PUT` is not `GET` or `HEAD`")),
        ("x.com", "/c", "PUT", (Miss.PATH, "path `/c` is not `/a` or `/b`")),
        ("y.com", "/c", "PUT", (Miss.HOST, "host `y.com` is not `x.com`")),
    ],
)
def test_mismatch_says_what_kept_the_route_from_matching(
    host: str, path: str, method: str, miss: tuple[Miss, str] | None
) -> None:
    route = a_route("one", "/a", "/b", hosts=["x.com"], methods=["HEAD", "GET"])
    assert mismatch(route, host, path, method) == miss


@pytest.mark.parametrize("hosts", [["x.com"], ["*.com"], []])
def test_no_broader_route_gets_the_uncommon_methods_of_a_place(hosts: list[str]) -> None:
    """Whoever wrote `/admin/**` for admins did not mean that others may MOVE there."""
    admin = a_route("admin", "/admin/**", hosts=hosts)
    dav = a_route("dav", "/**", methods=["GET", "MOVE"])
    table = table_of(admin, dav)
    for path in ("/admin", "/admin/x"):
        assert table.find("x.com", path, "GET") == "admin"
        assert table.find("x.com", path, "MOVE") is None
        assert table.find("x.com", path, "MOVE") is None
    assert table.find("x.com", "/b", "MOVE") == "dav"


def test_mismatch_says_that_a_method_has_to_be_named() -> None:
    route = a_route("one", "/a")
    assert mismatch(route, "x.com", "/a", "PATCH") is None
    message = "method `PURGE` is not a common one, and the route does not name it"
    assert mismatch(route, "x.com", "/a", "PURGE") == (Miss.METHOD, message)


# A world small enough that hypothesis meets every coincidence in it.
path_texts = st.builds(
    lambda parts, tail: "/" + "/".join([*parts, *tail]),
    st.lists(st.sampled_from(["a", "b", "*", "%61", "a:b"]), max_size=3),
    st.sampled_from([[], ["**"], [""]]),
).filter(lambda text: "//" not in text)
host_texts = st.sampled_from(["a.x", "b.x", "*.x", "A.x", "x"])
method_names = st.sampled_from(["GET", "PUT"])
routes_strategy = st.lists(
    st.tuples(
        st.lists(path_texts, min_size=1, max_size=3),
        st.lists(host_texts, max_size=2),
        st.frozensets(method_names, max_size=2),
    ),
    max_size=8,
)
requests = st.tuples(
    st.sampled_from(["a.x", "b.x", "c.x", "x", "y", "a.b.x"]),
    st.lists(st.sampled_from(["a", "b", "c", "a:b", "a%3Ab"]), max_size=4).map(
        lambda parts: "/" + "/".join(parts)
    )
    | st.sampled_from(["/a/", "/a/b/", "*"]),
    st.sampled_from(["GET", "PUT", "DELETE"]),
)


def specificity(route: Route, host: str, path: str, method: str) -> tuple[object, ...] | None:
    """Rank the route for the request by the words of the specification; lower is more specific."""
    if route.methods and method not in route.methods:
        return None
    found = split_path(path)
    ranks = []
    for host_text in route.hosts or [None]:
        host_pattern = None if host_text is None else parse_host(host_text)
        if host_pattern is not None and not host_pattern.matches(host):
            continue
        host_rank = 2 if host_pattern is None else 1 if host_pattern.wildcard else 0
        for pattern in map(parse_path, route.paths):
            if found is None or not pattern.matches(path):
                continue
            segments = [1 if segment is None else 0 for segment in pattern.segments]
            ranks.append((host_rank, [*segments, 2] if pattern.rest else [*segments, -1], not route.methods))
    return min(ranks, default=None)


@settings(max_examples=500)
@given(routes_strategy, st.lists(requests, min_size=1, max_size=6))
def test_table_agrees_with_asking_every_route(
    described: list[tuple[list[str], list[str], frozenset[str]]],
    asked: list[tuple[str, str, str]],
) -> None:
    """The tree finds what brute force finds, never two, and the order of definition means nothing."""
    routes: list[Route] = []
    for number, (paths, hosts, methods) in enumerate(described):
        route = a_route(f"r{number}", *paths, hosts=hosts, methods=methods)
        if not conflicts([*routes, route]):
            routes.append(route)
    table, reverse = table_of(*routes), table_of(*reversed(routes))
    for host, path, method in asked:
        ranked = [(specificity(route, host, path, method), route.name) for route in routes]
        matching = sorted((rank, name) for rank, name in ranked if rank is not None)
        assert len(matching) < 2 or matching[0][0] != matching[1][0]
        expected = matching[0][1] if matching else None
        assert table.find(host, path, method) == expected
        assert reverse.find(host, path, method) == expected
        told = {route.name for route in routes if mismatch(route, host, path, method) is None}
        assert told == {name for _, name in matching}


@given(routes_strategy)
def test_only_identical_places_conflict(described: list[tuple[list[str], list[str], frozenset[str]]]) -> None:
    routes = [
        a_route(f"r{number}", *paths, hosts=hosts, methods=methods)
        for number, (paths, hosts, methods) in enumerate(described)
    ]
    for one, other in itertools.combinations(routes, 2):
        share = bool(set(places(one)) & set(places(other)))
        same_methods = bool(one.methods & other.methods) or not (one.methods or other.methods)
        assert bool(conflicts([one, other])) is (share and same_methods)
