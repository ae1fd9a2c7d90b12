import pytest

from proxy.errors import ConfigurationError
from proxy.settings.problem import (
    Collector,
    KeyPath,
    Place,
    Problem,
    SettingsError,
    did_you_mean,
    dotted,
    listed,
    printable,
)


def test_problem_reads_as_place_key_and_message() -> None:
    assert str(Problem("a.yaml:1:2", "listen", "is wrong")) == "a.yaml:1:2: listen: is wrong"


def test_problem_without_key_or_place_leaves_them_out() -> None:
    assert str(Problem("a.yaml:1:2", "", "is wrong")) == "a.yaml:1:2: is wrong"
    assert str(Problem("", "", "is wrong")) == "is wrong"


def test_settings_error_is_a_configuration_error_with_all_problems() -> None:
    problems = (Problem("a:1:1", "x", "one"), Problem("a:2:1", "y", "two"))
    error = SettingsError(problems)
    assert isinstance(error, ConfigurationError)
    assert str(error) == "a:1:1: x: one\na:2:1: y: two"
    assert error.problems == problems


def test_collector_raises_in_the_order_of_places() -> None:
    collector = Collector()
    for file, line, column in (("b", 1, 1), ("a", 10, 1), ("a", 9, 2), ("a", 9, 1)):
        collector.add(Place(file, line, column), "k", "m")
    with pytest.raises(SettingsError) as caught:
        collector.raise_if_any()
    assert [problem.place for problem in caught.value.problems] == ["a:9:1", "a:9:2", "a:10:1", "b:1:1"]


def test_collector_keeps_the_first_problem_at_a_place_and_key() -> None:
    collector = Collector()
    collector.add(Place("a", 1, 1), "k", "first")
    collector.add(Place("a", 1, 1), "k", "second")
    with pytest.raises(SettingsError, match=r"^a:1:1: k: first$"):
        collector.raise_if_any()


def test_collector_without_problems_raises_nothing() -> None:
    Collector().raise_if_any()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("listen",), "listen"),
        (("roles", "deployer", "bindings", 0), "roles.deployer.bindings[0]"),
        (("claims", "/kubernetes.io/namespace"), 'claims["/kubernetes.io/namespace"]'),
        (("claims", "a\nb"), 'claims["a\\nb"]'),
        (("routes", 3, "match", "paths", 1), "routes[3].match.paths[1]"),
    ],
)
def test_key_path_reads_as_people_write_it(path: KeyPath, text: str) -> None:
    assert dotted(path) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\t\x1b[31m", "two\\nlines\\t\\x1b[31m"),
        ("\u202e", "\\u202e"),
        ("ü", "ü"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
    ],
)
def test_shown_text_stays_on_one_line_and_is_cut(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("audience", ["audiences", "url"], "; did you mean `audiences`?"),
        ("GET", ["get"], "; did you mean `get`?"),
        ("get", ["GET"], "; did you mean `GET`?"),
        ("zebra", ["audiences", "url"], ""),
        ("zebra", [], ""),
        ("deployer", ["deploy\x1ber"], "; did you mean `deploy\\x1ber`?"),
    ],
)
def test_nearest_known_name_is_suggested(name: str, known: list[str], hint: str) -> None:
    assert did_you_mean(name, known) == hint


@pytest.mark.parametrize(("length", "suggests"), [(99, True), (100, True), (101, False)])
def test_suggestions_do_not_compare_overlong_names(length: int, suggests: bool) -> None:
    assert bool(did_you_mean("x" * length, ["x" * 98])) is suggests


@pytest.mark.parametrize(("count", "suggests"), [(999, True), (1000, True), (1001, False)])
def test_suggestions_do_not_compare_with_thousands_of_names(count: int, suggests: bool) -> None:
    known = ["deployer", *(f"{number:04}" for number in range(count - 1))]
    assert bool(did_you_mean("deploier", known)) is suggests


def test_names_are_listed_in_backticks() -> None:
    assert listed(["a", "b\n"]) == "`a`, `b\\n`"
