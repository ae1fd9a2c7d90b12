from pathlib import Path

import pytest

from proxy.settings.places import Places
from proxy.settings.problem import KeyPath
from tests.settings.files import SMALL, changed, load_text, problems_of


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), "1:1"),
        (("audit",), "1:1"),
        (("audit", "stdout"), "1:17"),
        (("issuers", "gitlab"), "3:3"),
        (("issuers", "gitlab", "url"), "4:10"),
        (("issuers", "gitlab", "audiences"), "5:5"),
        (("issuers", "gitlab", "audiences", 0), "5:17"),
        (("roles", "deployer", "bindings", 0), "9:9"),
        (("roles", "deployer", "bindings", 0, "claims", "project_id"), "10:30"),
        (("routes", 0), "14:5"),
        (("routes", "deployments"), "14:5"),
        (("routes", "deployments", "match", "paths", 0), "15:21"),
        (("routes", "deployments", "allow", 0), "18:9"),
    ],
)
def test_every_key_has_a_place(tmp_path: Path, path: KeyPath, place: str) -> None:
    assert load_text(tmp_path, SMALL).place(*path) == f"{tmp_path}/rolegate.yaml:{place}"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("listen", "timeouts", "headers"), "1:1"),
        (("issuers", "gitlab", "keys", "timeout"), "3:3"),
        (("issuers", "nope"), "2:1"),
        (("routes", 7), "13:1"),
        (("routes", -1), "13:1"),
        (("routes", "nope"), "13:1"),
        (("audit", "stdout", "deeper"), "1:17"),
    ],
)
def test_what_is_not_written_is_placed_at_the_nearest_key_that_is(
    tmp_path: Path, path: KeyPath, place: str
) -> None:
    assert load_text(tmp_path, SMALL).place(*path) == f"{tmp_path}/rolegate.yaml:{place}"


def test_settings_that_were_not_read_have_a_place_too() -> None:
    assert str(Places().place(("routes", 0))) == "configuration:1:1"
    assert Places().node(("routes",)) is None


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (("routes", 0), "routes.deployments"),
        (("routes", 0, "allow", 0), "routes.deployments.allow[0]"),
        (("routes", "deployments", "allow", 0), "routes.deployments.allow[0]"),
        (("routes", 3), "routes[3]"),
        (("roles", "deployer", "bindings", 0), "roles.deployer.bindings[0]"),
    ],
)
def test_key_names_a_route_rather_than_counting_it(tmp_path: Path, path: KeyPath, key: str) -> None:
    assert load_text(tmp_path, SMALL).key(*path) == key


def test_route_whose_name_is_taken_is_counted(tmp_path: Path) -> None:
    twice = SMALL + SMALL[SMALL.index("  - name:") :].replace("deployer", "deploier")
    assert problems_of(tmp_path, twice) == [
        (
            "19:11: routes[1].name: expected a name of its own, got `deployments`, which is at "
            f"{tmp_path}/rolegate.yaml:14:11"
        ),
        (
            "23:17: routes[1].allow[0].roles[0]: expected the name of a role, got `deploier`; "
            "did you mean `deployer`?"
        ),
    ]


def test_route_whose_name_comes_from_a_reference_is_counted(tmp_path: Path) -> None:
    text = changed("name: deployments", "name: ${env:NAME}").replace("roles: [deployer]", "roles: [nope]")
    problems = problems_of(tmp_path, text, {"NAME": "hunter2"})
    assert [problem.split(": ")[1] for problem in problems] == [
        "routes[0].name",
        "routes[0].allow[0].roles[0]",
    ]
    assert "hunter2" not in "".join(problems)
