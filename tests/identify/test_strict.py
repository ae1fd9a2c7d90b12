import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.identify import strict
from proxy.identify.strict import MAX_DEPTH, decode_base64url, decode_object


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"", b""), (b"AA", b"\0"), (b"AAA", b"\0\0"), (b"-_8", b"\xfb\xff"), (b"QUJD", b"ABC")],
)
def test_canonical_base64url_is_decoded(text: bytes, expected: bytes) -> None:
    assert decode_base64url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"A",  # no bytes have this length
        b"AAAAA",
        b"AA==",  # padding
        b"AAA=",
        b"+/8",  # the other alphabet
        b"AB",  # left-over bits that are not zero: a second spelling of AA
        b"AAB",
        b"AA\n",
        b" AA",
        b"A A",
        b"AA!AA",
        b"\xc3\xa9AA",
        b"AA\0",
        b"AA=AA",
    ],
)
def test_every_other_spelling_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_base64url(text)


def test_an_object_is_read() -> None:
    text = '{"a": 1, "b": [true, null, 1.5], "c": {"d": "é😀"}, "e": "\\ud83d\\ude00"}'
    expected = {"a": 1, "b": [True, None, 1.5], "c": {"d": "é😀"}, "e": "😀"}
    assert decode_object(text.encode()) == expected


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (b"", "Expecting"),
        (b"[]", "not an object"),
        (b'"text"', "not an object"),
        (b"null", "not an object"),
        (b'{"a": 1} {}', "Extra data"),
        (b'{"a": 1,}', "."),
        (b"{'a': 1}", "."),
        (b'{"a": "\n"}', "control character"),
        (b'{"a": 01}', "."),
        (b'{"a": 1} // x', "Extra data"),
        (b'\xef\xbb\xbf{"a": 1}', "."),  # byte order mark
        ('{"a": 1}'.encode("utf-16"), "."),
        ('{"a": 1}'.encode("utf-16-le"), "."),
        ('{"a": 1}'.encode("utf-32"), "."),
        (b'{"a": "\xff"}', "."),
        (b'{"a": "\xed\xa0\x80"}', "."),  # a surrogate in UTF-8
        (b'{"a": "\xc0\xaf"}', "."),  # overlong
        (b'{"a": "\\ud800"}', "surrogates"),
        (b'{"\\udfff": 1}', "surrogates"),
        (b'{"a": ["\\ud800"]}', "surrogates"),
        (b'{"a": 1, "a": 1}', "named twice"),
        (b'{"a": 1, "\\u0061": 2}', "named twice"),
        (b'{"x": {"a": 1, "a": 2}}', "named twice"),
        (b'{"x": [{"y": {"a": 1, "a": 2}}]}', "named twice"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": Infinity}', "not JSON"),
        (b'{"a": -Infinity}', "not JSON"),
        (b'{"a": 1e999}', "out of range"),
        (b'{"a": -1e999}', "out of range"),
        (b'{"a": 18446744073709551616}', "64 bits"),
        (b'{"a": -9223372036854775809}', "64 bits"),
        (b'{"a": 1' + b"0" * 9000 + b"}", "."),
        (b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "deeply"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "deeply"),
    ],
)
def test_what_parsers_disagree_on_is_refused(text: bytes, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        decode_object(text)


@pytest.mark.parametrize(("levels", "is_read"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False)])
def test_nesting_is_bounded(levels: int, is_read: bool) -> None:
    text = b'{"a": ' + b"[" * levels + b"]" * levels + b"}"
    if is_read:
        decode_object(text)
    else:
        with pytest.raises(ValueError, match="deeply"):
            decode_object(text)


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 0, -1])
def test_every_64_bit_integer_is_read(number: int) -> None:
    assert decode_object(b'{"a": %d}' % number) == {"a": number}


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True)
    | st.text(st.characters(exclude_categories=[]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.interpreted
@given(
    value=st.dictionaries(st.text(max_size=4), PLAIN, max_size=5),
    ascii_only=st.booleans(),
    is_compact=st.booleans(),
    junk=st.binary(max_size=2)
    | st.sampled_from([b',"a":1', b"{", b"[[", b"1", b'"a":1,', b"e9", b"\\u0041"]),
    at=st.integers(0, 80),
)
def test_the_quick_way_reads_what_the_slow_one_reads(
    value: dict[str, object], ascii_only: bool, is_compact: bool, junk: bytes, at: int
) -> None:
    separators = (",", ":") if is_compact else None
    text = json.dumps(value, ensure_ascii=ascii_only, separators=separators).encode("utf-8", "surrogatepass")
    for candidate in (text, text[:at] + junk + text[at:]):
        quick = strict._read_plain(candidate)
        if quick is not None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(strict, "_read_plain", lambda unverified_bytes: None)
                slow = decode_object(candidate)
            assert repr(quick) == repr(slow)


@pytest.mark.parametrize("text", [b'{"a":1,"b":["x",{"c":1.5}],"d":"\xc3\xa9"}', b"{}"])
def test_the_spelling_of_most_issuers_takes_the_quick_way(text: bytes) -> None:
    assert strict._read_plain(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        *(b'{"a":1,"a":1}', b'{"a":1,"a":2}', b'{"a":"\\u0041"}', b'{"a": 1}', b'{"a":1.0e1}', b'{"a":-0}'),
        *(b'{"a":9223372036854775808}', b'{"a":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}', b"[1]", b'{"a":NaN}'),
    ],
)
def test_any_other_spelling_takes_the_slow_way(text: bytes) -> None:
    assert strict._read_plain(text) is None


@given(st.binary(max_size=40))
def test_base64url_has_one_spelling(data: bytes) -> None:
    text = base64.urlsafe_b64encode(data).rstrip(b"=")
    assert decode_base64url(text) == data


@given(st.text("ABCDwgQxz059-_+/=\n ", max_size=9))
def test_what_is_decoded_encodes_to_the_same(text: str) -> None:
    try:
        decoded = decode_base64url(text.encode())
    except ValueError:
        return
    assert base64.urlsafe_b64encode(decoded).rstrip(b"=") == text.encode()
