from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.authorize.pointer import compile_lookup, top_level_name

CLAIMS: dict[str, object] = {
    "project_id": "42",
    "https://example.com/groups": ["a"],
    "/odd": "slash",
    "~odd": "tilde",
    "~1": "both",
    "": "empty",
    "null": None,
    "kubernetes.io": {"namespace": "pay", "serviceaccount": {"name": "api"}},
    "user_identities": [{"provider": "okta", "extern_uid": "00u1"}, {"provider": "entra"}],
    "pair": ("x", "y"),
    "0": {"0": "digits"},
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("project_id", "42"),
        ("/project_id", "42"),
        ("https://example.com/groups", ["a"]),
        ("/https:~1~1example.com~1groups", ["a"]),
        ("/~1odd", "slash"),
        ("/~0odd", "tilde"),
        ("/~01", "both"),
        ("/", "empty"),
        ("/kubernetes.io/namespace", "pay"),
        ("/kubernetes.io/serviceaccount/name", "api"),
        ("/user_identities/0/provider", "okta"),
        ("/user_identities/1/provider", "entra"),
        ("/pair/1", "y"),
        ("/0/0", "digits"),
    ],
)
def test_claim_is_found_by_exact_name_or_pointer(name: str, value: object) -> None:
    assert compile_lookup(name)(CLAIMS) == value
    assert compile_lookup(name)(MappingProxyType(CLAIMS)) == value


@pytest.mark.parametrize(
    "name",
    [
        "project",
        "PROJECT_ID",
        "kubernetes.io/namespace",
        "kubernetes.io.namespace",
        "null",
        "/null/deeper",
        "/project_id/0",
        "/kubernetes.io/missing/name",
        "/user_identities/2/provider",
        "/user_identities/-",
        "/user_identities/-1",
        "/user_identities/00",
        "/user_identities/+0",
        "/user_identities/ 0",
        "/user_identities/٠",
        "/user_identities/0/",
        "/user_identities/99999999999999999999",
    ],
)
def test_what_leads_nowhere_gives_none(name: str) -> None:
    assert compile_lookup(name)(CLAIMS) is None


@pytest.mark.parametrize("name", ["", "/a~", "/a~2", "/~", "/a/~~0"])
def test_what_is_no_name_does_not_compile(name: str) -> None:
    with pytest.raises(ValueError, match="claim"):
        compile_lookup(name)


@pytest.mark.parametrize(
    ("name", "top_level"),
    [("a", "a"), ("/a", "a"), ("/a~1b", "a/b"), ("/a/b", None), ("/a/0", None), ("a/b", "a/b")],
)
def test_top_level_name_is_one_whole_claim(name: str, top_level: str | None) -> None:
    assert top_level_name(name) == top_level


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_every_path_of_names_can_be_pointed_at(names: list[str]) -> None:
    claims: object = "here"
    for name in reversed(names):
        claims = {name: claims}
    assert isinstance(claims, dict)
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
    assert compile_lookup(pointer)(claims) == "here"
