import os
import tempfile
from pathlib import Path

import pytest

from proxy.settings.document import MAX_FILE_BYTES
from proxy.settings.load import load
from proxy.settings.merge import MAX_FILES, config_files
from proxy.settings.problem import SettingsError
from tests.settings.files import SMALL, write

NOBODY = 65534  # Debian's id of the user who owns nothing


def refusals_of(folder: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(folder, environ={})
    return [line.replace(f"{folder}/", "") for line in str(caught.value).splitlines()]


def section(name: str) -> str:
    """Return the lines of one section of the small configuration."""
    start = SMALL.index(f"{name}:")
    following = [
        SMALL.find(f"\n{other}:", start) + 1 for other in ("issuers", "roles", "upstreams", "routes")
    ]
    return SMALL[start : min([end for end in following if end > start], default=len(SMALL))]


def write_parts(folder: Path) -> None:
    for number, name in enumerate(("audit", "issuers", "roles", "upstreams", "routes")):
        write(folder, section(name), f"{number}-{name}.yaml")


def test_sections_may_stand_in_files_of_their_own(tmp_path: Path) -> None:
    write_parts(tmp_path)
    settings = load(tmp_path, environ={})
    assert list(settings.issuers) == ["gitlab"]
    assert [route.name for route in settings.routes] == ["deployments"]


def test_named_sections_gather_what_all_files_say(tmp_path: Path) -> None:
    write(tmp_path, SMALL, "a.yaml")
    more = SMALL.replace("audit: {stdout: true}\n", "").replace("deployments", "registry")
    more = more.replace("gitlab:", "github:").replace("https://gitlab", "https://github")
    more = more.replace("issuer: gitlab", "issuer: github").replace("deployer", "reader")
    write(tmp_path, more, "b.yml")
    settings = load(tmp_path, environ={})
    assert list(settings.issuers) == ["gitlab", "github"]
    assert list(settings.roles) == ["deployer", "reader"]
    assert list(settings.upstreams) == ["deployments", "registry"]
    assert [route.name for route in settings.routes] == ["deployments", "registry"]
    assert settings.place("routes", "registry") == f"{tmp_path}/b.yml:13:5"


def test_files_count_in_the_order_of_names_and_others_do_not(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.json", ".hidden.yaml", "d.txt", "e.yaml~", "README.md"):
        write(tmp_path, "{}", name)
    (tmp_path / "folder.yaml").mkdir()
    assert [file.name for file in config_files(tmp_path)] == ["a.yaml", "b.yml", "c.json"]


def test_mounted_configuration_is_read_through_links(tmp_path: Path) -> None:
    """A mounted ConfigMap is links into a hidden folder that changes as a whole."""
    data = tmp_path / "..2026"
    data.mkdir()
    write(data, SMALL)
    (tmp_path / "..data").symlink_to(data)
    (tmp_path / "rolegate.yaml").symlink_to(Path("..data") / "rolegate.yaml")
    assert load(tmp_path, environ={}).place("audit") == f"{tmp_path}/rolegate.yaml:1:1"


def test_json_and_yaml_stand_side_by_side(tmp_path: Path) -> None:
    write(tmp_path, SMALL, "a.yaml")
    write(tmp_path, '{"upstreams": {"more": {"url": "http:\\/\\/127.0.0.1:9001"}}}', "b.json")
    assert load(tmp_path, environ={}).upstreams["more"].endpoints[0].port == 9001


def test_name_defined_in_two_files_names_both_places(tmp_path: Path) -> None:
    write(tmp_path, SMALL, "a.yaml")
    write(tmp_path, SMALL.replace("audit: {stdout: true}\n", ""), "b.yaml")
    assert refusals_of(tmp_path) == [
        "b.yaml:2:3: issuers.gitlab: defined twice, first at a.yaml:3:3",
        "b.yaml:6:3: roles.deployer: defined twice, first at a.yaml:7:3",
        "b.yaml:11:3: upstreams.deployments: defined twice, first at a.yaml:12:3",
        (
            "b.yaml:13:11: routes[1].name: expected a name of its own, got `deployments`, "
            "which is at a.yaml:14:11"
        ),
    ]


@pytest.mark.parametrize("name", ["audit", "listen", "admin", "identity_headers", "token_cache"])
def test_other_sections_stand_in_one_file(tmp_path: Path, name: str) -> None:
    written = {"audit": "audit: {stdout: true}\n"}.get(name, f"{name}: {{}}\n")
    write(tmp_path, SMALL if name == "audit" else SMALL + written, "a.yaml")
    write(tmp_path, written, "b.yaml")
    line = 1 if name == "audit" else SMALL.count("\n") + 1
    assert refusals_of(tmp_path) == [f"b.yaml:1:1: {name}: defined twice, first at a.yaml:{line}:1"]


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("routes: {}", "b.yaml:1:1: routes: expected a list, as in the other files"),
        ("roles: []", "b.yaml:1:1: roles: expected a mapping, as in the other files"),
        ("issuers:", "b.yaml:1:1: issuers: expected a mapping, as in the other files"),
    ],
)
def test_sections_of_different_shape_are_refused(tmp_path: Path, text: str, refusal: str) -> None:
    write(tmp_path, SMALL, "a.yaml")
    write(tmp_path, text, "b.yaml")
    assert refusals_of(tmp_path) == [refusal]


@pytest.mark.parametrize("text", ["[a]", "a", "42"])
def test_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path, SMALL, "a.yaml")
    write(tmp_path, text, "b.yaml")
    (refusal,) = refusals_of(tmp_path)
    assert refusal.startswith("b.yaml:1:1: expected a mapping of sections such as `routes`, got a ")


def test_unreadable_files_are_all_reported_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, section("routes"), "a.yaml")
    write(tmp_path, "a: [", "b.yaml")
    (tmp_path / "c.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d.yaml").write_bytes(b"\xff")
    assert [line.split(":")[0] for line in refusals_of(tmp_path)] == ["b.yaml", "c.yaml", "d.yaml"]


def test_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "nope.yaml", environ={})
    assert str(caught.value) == f"{tmp_path}/nope.yaml: cannot be read: no such file or directory"


def test_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, environ={})
    assert str(caught.value) == f"{tmp_path}: expected `*.yaml`, `*.yml` or `*.json` files, got none"


def test_folder_that_cannot_be_listed_is_refused() -> None:
    # Root reads every folder, so root becomes nobody for this; pytest's own folder is closed to nobody.
    who = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o100)
        if who == 0:
            os.seteuid(NOBODY)
        try:
            with pytest.raises(SettingsError, match="cannot be read: permission denied"):
                load(Path(folder), environ={})
        finally:
            os.seteuid(who)
            Path(folder).chmod(0o700)


@pytest.mark.parametrize(
    ("count", "is_read"), [(MAX_FILES - 1, True), (MAX_FILES, True), (MAX_FILES + 1, False)]
)
def test_number_of_files_is_bounded(tmp_path: Path, count: int, is_read: bool) -> None:
    for number in range(count):
        write(tmp_path, "{}", f"{number}.yaml")
    if is_read:
        assert len(config_files(tmp_path)) == count
    else:
        with pytest.raises(SettingsError, match=f"expected at most {MAX_FILES} files, got {count}"):
            config_files(tmp_path)


def test_no_more_than_the_limit_is_read_of_a_file(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate(1 << 40)  # sparse: reading all of it would end the process
    with pytest.raises(SettingsError, match=f"expected at most {MAX_FILE_BYTES} bytes"):
        load(tmp_path, environ={})
