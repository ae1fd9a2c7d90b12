import pytest
from pydantic_core import PydanticCustomError

from proxy.model.policy import Contains, Matcher, OneOf, Prefix
from proxy.settings.matchers import matcher
from proxy.settings.problem import KeyPath
from proxy.settings.resolve import Doubtful
from proxy.settings.secrets import Revealed


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ("42", OneOf(values=("42",))),
        (42, OneOf(values=(42,))),
        (1.5, OneOf(values=(1.5,))),
        ("", OneOf(values=("",))),
        (["a", 1, False], OneOf(values=("a", 1, False))),
        ({"contains": "a"}, Contains(values=("a",))),
        ({"contains": ["a", "b"]}, Contains(values=("a", "b"))),
        ({"prefix": "acme", "separator": "/"}, Prefix(prefix="acme", separator="/")),
        ({"prefix": "a", "separator": "::"}, Prefix(prefix="a", separator="::")),
    ],
)
def test_matcher_is_what_is_written(raw: object, found: Matcher) -> None:
    assert matcher(raw) == found


@pytest.mark.parametrize(("raw", "kind"), [(True, bool), ("true", str), (1, int), (1.0, float)])
def test_type_of_a_value_is_kept(raw: object, kind: type) -> None:
    found = matcher(raw)
    assert isinstance(found, OneOf)
    assert type(found.values[0]) is kind


def test_revealed_value_becomes_plain_text() -> None:
    found = matcher(Revealed("42"))
    assert isinstance(found, OneOf)
    assert type(found.values[0]) is str


@pytest.mark.parametrize(
    ("raw", "at", "message"),
    [
        (None, (), "expected a value, a list of values"),
        ([], (), "expected at least one value"),
        (["a", None], (1,), "expected a value"),
        (["a", ["b"]], (1,), "expected a value"),
        (["a", {"contains": "b"}], (1,), "expected a value"),
        ({}, (), "expected a value, a list of values"),
        ({"contain": "a"}, (), "did you mean `contains`?"),
        ({"perfix": "a"}, (), "did you mean `prefix`?"),
        ({"regex": "a"}, (), "expected a value, a list of values"),
        ({"contains": []}, ("contains",), "expected at least one value"),
        ({"contains": None}, ("contains",), "expected a value or a list of values"),
        ({"contains": {"contains": "a"}}, ("contains",), "expected a value or a list of values"),
        ({"contains": "a", "prefix": "b"}, ("prefix",), "unknown key; known here: `contains`"),
        ({"prefix": "a"}, (), "`separator` is missing"),
        ({"separator": "/"}, (), "`prefix` is missing"),
        ({"prefix": "a", "seperator": "/"}, ("seperator",), "did you mean `separator`?"),
        ({"prefix": "a", "separator": ""}, ("separator",), "text of at least one character"),
        ({"prefix": "", "separator": "/"}, ("prefix",), "text of at least one character"),
        ({"prefix": 1, "separator": "/"}, ("prefix",), "text of at least one character"),
        ({"prefix": "a/", "separator": "/"}, ("prefix",), "without the separator at its end"),
        (Doubtful("no"), (), 'for text write `"no"`, for a boolean write `true` or `false`'),
        (["a", Doubtful("on")], (1,), 'for text write `"on"`'),
        ({"contains": [Doubtful("yes")]}, ("contains", 0), 'for text write `"yes"`'),
    ],
)
def test_anything_else_is_refused_where_it_stands(raw: object, at: KeyPath, message: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        matcher(raw)
    assert caught.value.context is not None
    assert caught.value.context["at"] == at
    assert message in caught.value.message()


def test_date_without_quotes_is_refused_and_no_boolean_is_suggested() -> None:
    with pytest.raises(PydanticCustomError, match=r'for text write `"2027-01-31"`$'):
        matcher(Doubtful("2027-01-31"))
