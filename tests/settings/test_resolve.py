import datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings.document import compose
from proxy.settings.problem import Collector, SettingsError
from proxy.settings.resolve import Doubtful, data, plain_value, resolve
from proxy.settings.secrets import References


def resolved(text: str, environ: dict[str, str] | None = None) -> object:
    node = compose(text.encode(), "f.yaml")
    problems = Collector()
    resolve(node, References(environ or {}, Path()), problems)
    problems.raise_if_any()
    return data(node)


def refusals_of(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        resolved(text)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("null", "Null", "NULL", "~", "")),
        ("0", 0),
        ("42", 42),
        ("-7", -7),
        ("123456789012345678", 123456789012345678),
        ("1.5", 1.5),
        ("-0.25", -0.25),
        ("0.0", 0.0),
    ],
)
def test_plain_word_with_one_meaning_has_it(text: str, value: object) -> None:
    found = resolved(f"a: {text}")
    assert found == {"a": value}
    assert isinstance(found, dict)
    assert type(found["a"]) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *("010", "00", "0o7", "0b1", "0x1F", "0xff", "-010", "08"),
        *("1_000", "1_", "0_0", "1_0.5"),
        *("12:30", "1:2:3", "190:20:30.15", "-1:30", "1_2:30"),
        *("+5", "-0", "+1.5", "1e5", "1E5", "1.0e+5", "1e+22", "1.10", "5.", ".5", "-.5", "00.5", "1.50"),
        *(".inf", "-.inf", "+.INF", ".nan", ".NaN"),
        *("1234567890123456789", "9" * 5000, "0.1000000000000000055511151231257827"),
    ],
)
def test_number_that_readers_disagree_on_is_refused_wherever_it_stands(text: str) -> None:
    for document in (f"description: {text}", f"- {text}", f"a: {{b: [{text}]}}"):
        (refusal,) = refusals_of(document)
        assert "is a number to one reader and text or another number to the next" in refusal
        assert 'for text write `"' in refusal


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "y", "Y", "n", "N"),
        *("2027-01-31", "2027-01-31T18:00:00Z", "2027-1-3t1:00:00+1", "2001-12-14 21:59:43.10 -5"),
    ],
)
def test_word_that_readers_disagree_on_is_text_with_a_mark(text: str) -> None:
    found = resolved(f"a: {text}")
    assert found == {"a": text}
    assert isinstance(found, dict)
    assert type(found["a"]) is Doubtful


@pytest.mark.parametrize(
    "text",
    [
        *("tRue", "nULL", "nope", "none", "None", "yess", "inf", "nan", "x1F", "0x", "0xg", "1.2.3", "v1"),
        *("127.0.0.1", "127.0.0.1:8080", "30s", "32KiB", "12:60", "a:b", "/a/*", "2027-01-31x", "1-2-3"),
        *("_", "__", "-", "--", "+", "e5", "1e", "1e5x", ".", "=", "refs/heads/main", "٣", "¹"),
    ],
)
def test_everything_else_is_text(text: str) -> None:
    value = plain_value(text)
    assert value == text
    assert type(value) is str


@pytest.mark.parametrize(
    "text", ["010", "no", "true", "null", "12:30", "1_000", "2027-01-31", "", "42", "<<"]
)
def test_quotes_make_text_of_anything(text: str) -> None:
    for quote in "'\"":
        found = resolved(f"a: {quote}{text}{quote}")
        assert found == {"a": text}
        assert isinstance(found, dict)
        assert type(found["a"]) is str


@given(st.text(alphabet="0123456789+-._:eExob aAyYnNoOfFtTrRuUlLsS~", max_size=12))
def test_no_plain_word_means_something_else_to_yaml_1_1(text: str) -> None:
    """Whatever gets through unmarked is read the same by a YAML 1.1 reader."""
    word = text.strip()
    try:
        value = plain_value(word)
        other = yaml.safe_load(f"[{word}]") if word else [None]
    except (Exception, RecursionError):
        return
    if type(value) is Doubtful or not isinstance(other, list) or len(other) != 1:
        return
    if isinstance(other[0], (dict, list)):
        return  # not a plain word in this context
    assert (value, type(value)) == (other[0], type(other[0]))
    assert not isinstance(value, datetime.date)


def test_keys_are_text_as_written() -> None:
    assert resolved("{no: a, 010: b, true: c, null: d, 12:30: e}") == {
        "no": "a",
        "010": "b",
        "true": "c",
        "null": "d",
        "12:30": "e",
    }


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1: a: `a` is given twice, first at f.yaml:1:1"),
        ("a: {b: 1, 'b': 2}", "f.yaml:1:11: a.b: `b` is given twice, first at f.yaml:1:5"),
        ("a: &x {b: 1}\nc: {<<: *x}", "f.yaml:2:5: c: merge keys (`<<`) are not read; write the keys out"),
        ("? [a]\n: b", "f.yaml:1:3: expected a key that is text, got a list or a mapping"),
        ("? {a: b}\n: b", "f.yaml:1:3: expected a key that is text, got a list or a mapping"),
        ("!!str a: b", "f.yaml:1:1: tags are not read; leave it out"),
    ],
)
def test_keys_must_be_single_and_plain(text: str, refusal: str) -> None:
    assert refusals_of(text) == [refusal]


def test_quoted_merge_key_is_a_key_like_any_other() -> None:
    assert resolved('"<<": a') == {"<<": "a"}


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("a: !!str 010", "!!str"),
        ("a: !!binary aGk=", "!!binary"),
        ("a: !!python/object/apply:os.system [id]", "!!python/object/apply:os.system"),
        ("a: !env X", "!env"),
        ("a: ! x", "!"),
        ("a: !!set {b}", "!!set"),
        ("a: !!seq [b]", "!!seq"),
    ],
)
def test_tags_are_refused(text: str, tag: str) -> None:
    refusal = refusals_of(text)[0]
    assert refusal == f"f.yaml:1:4: a: tags such as `{tag}` are not read; for text use quotes"


def test_references_are_resolved_after_parsing_and_only_once() -> None:
    environ = {"A": "{b: [c]}", "B": "no", "C": "${env:A}", "D": "010"}
    assert resolved('{a: "${env:A}", b: "${env:B}", c: "x-${env:C}", d: "${env:D}"}', environ) == {
        "a": "{b: [c]}",
        "b": "no",
        "c": "x-${env:A}",
        "d": "010",
    }


def test_reference_may_stand_unquoted_outside_braces() -> None:
    assert resolved("a: ${env:A}\nb: [x]\n", {"A": "v"}) == {"a": "v", "b": ["x"]}


def test_references_do_not_stand_in_keys() -> None:
    assert resolved('"${env:A}": b') == {"${env:A}": "b"}


def test_unresolved_reference_is_reported_at_its_place() -> None:
    assert refusals_of("a:\n  b: ${env:NOPE}") == ["f.yaml:2:6: a.b: environment variable `NOPE` is not set"]


def test_all_refusals_are_reported_at_once() -> None:
    assert len(refusals_of("a: 010\nb: !x y\nc: ${env:NOPE}\na: 1\n")) == 4
