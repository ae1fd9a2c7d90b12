from collections.abc import Mapping
from typing import Annotated

import pytest

from proxy.settings.expectation import Kind
from proxy.settings.fields import bare, element, fields_at, is_section, kind_of, origin_of
from proxy.settings.problem import KeyPath
from proxy.settings.schema import Issuer, Match, Rule, Settings
from tests.settings.files import AnyType


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ((), set(Settings.model_fields)),
        (("issuers", "any"), set(Issuer.model_fields)),
        (("routes", 3, "match"), set(Match.model_fields)),
        (("routes", 3, "deny", 0), set(Rule.model_fields)),
        (("issuers",), set()),
        (("routes",), set()),
        (("audit", "node"), set()),
        (("nope", "nope"), set()),
        (("routes", 3, "allow", 0, "claims", "sub"), set()),
    ],
)
def test_keys_at_a_path_are_those_of_the_model_there(path: KeyPath, keys: set[str]) -> None:
    assert set(fields_at(path)) == keys


@pytest.mark.parametrize(
    ("annotation", "stripped"),
    [(int, int), (int | None, int), (Annotated[int, "x"], int), (Annotated[int, "x"] | None, int)],
)
def test_annotations_are_stripped(annotation: AnyType, stripped: type) -> None:
    assert bare(annotation) is stripped


def test_kind_is_found_inside_an_optional_type() -> None:
    assert kind_of(Annotated[int, Kind("number")] | None) == "number"
    assert kind_of(int, (Kind("number"),)) == "number"
    assert kind_of(int) is None


def test_element_is_what_a_list_or_mapping_holds() -> None:
    assert element(tuple[int, ...]) is int
    assert element(Mapping[str, int]) is int
    assert element(int) is None
    assert origin_of(int) is None


def test_section_is_a_model() -> None:
    assert is_section(Settings)
    assert not is_section(int)
    assert not is_section(Mapping[str, int])
