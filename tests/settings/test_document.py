import json
import time

import pytest

from proxy.settings.document import (
    MAX_ALIASED_NODES,
    MAX_DEPTH,
    MAX_FILE_BYTES,
    MAX_NODES,
    Listing,
    Node,
    Scalar,
    Table,
    compose,
)
from proxy.settings.problem import Place, SettingsError


def plain(node: Node) -> object:
    """Return the texts of a composed document."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    return {str(plain(key)): plain(value) for key, value in node.pairs}


def refusal_of(content: str | bytes, file: str = "f.yaml") -> str:
    with pytest.raises(SettingsError) as caught:
        compose(content.encode() if isinstance(content, str) else content, file)
    assert len(caught.value.problems) == 1
    return str(caught.value)


def test_nodes_know_their_place() -> None:
    root = compose("a:\n  - x\n  - {b: ü, c: y}\n".encode(), "f.yaml")
    assert isinstance(root, Table)
    listing = root.pairs[0][1]
    assert isinstance(listing, Listing)
    table = listing.items[1]
    assert isinstance(table, Table)
    assert [str(node.place) for node in (root, listing, table)] == ["f.yaml:1:1", "f.yaml:2:3", "f.yaml:3:5"]
    # Columns count characters, not bytes.
    assert table.pairs[1][0].place == Place("f.yaml", 3, 12)


def test_quoted_and_block_scalars_are_not_plain() -> None:
    root = compose(b"[a, 'a', \"a\"]", "f.yaml")
    block = compose(b"a: |\n  010\n", "f.yaml")
    assert isinstance(root, Listing)
    assert isinstance(block, Table)
    styles = [item.is_plain for item in root.items if isinstance(item, Scalar)]
    assert styles == [True, False, False]
    value = block.pairs[0][1]
    assert isinstance(value, Scalar)
    assert not value.is_plain


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n", "---\n...\n"])
def test_empty_file_is_refused_or_holds_nothing(content: str) -> None:
    if content.startswith("---"):
        assert plain(compose(content.encode(), "f.yaml")) == ""
    else:
        assert refusal_of(content) == "f.yaml:1:1: expected a configuration, got an empty file"


def test_second_document_is_refused() -> None:
    assert refusal_of("a: 1\n---\nb: 2\n") == "f.yaml:2:1: expected one document in a file, got a second one"


def test_byte_order_mark_is_ignored() -> None:
    assert plain(compose(b"\xef\xbb\xbfa: b", "f.yaml")) == {"a": "b"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: b\nc: \xff", "f.yaml:2:4: expected UTF-8 text, got the byte 0xff"),
        ("a: b".encode("utf-16"), "f.yaml:1:1: expected UTF-8 text, got the byte 0xff"),
        (b"a: \xed\xa0\x80", "f.yaml:1:4: expected UTF-8 text, got the byte 0xed"),
        (b"a: b\nc: \x01", "f.yaml:2:4: control characters are not allowed"),
    ],
)
def test_what_is_not_text_is_refused_with_its_place(content: bytes, message: str) -> None:
    assert refusal_of(content) == message


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("a: [1, 2", "f.yaml:2:1"),
        ("a: b: c", "f.yaml:1:5"),
        ("a:\n\t- b\n", "f.yaml:2:1"),
        ("a: 'b", "f.yaml:1:6"),
        ("%bogus\n---\na: b", "f.yaml:1:7"),
        ("a: &a b\nc: &a", "f.yaml"),
    ],
)
def test_syntax_errors_have_a_place(content: str, place: str) -> None:
    if content.startswith("a: &a"):
        # An anchor may be set anew: that is YAML.
        assert plain(compose(content.encode(), "f.yaml")) == {"a": "b", "c": ""}
        return
    assert refusal_of(content).startswith(f"{place}: not YAML: ")


def test_syntax_errors_say_where_the_unfinished_part_starts() -> None:
    refusal = refusal_of("a: 1\nb: [1,\n2\n")
    assert refusal.startswith("f.yaml:4:1: not YAML: did not find expected ',' or ']'")
    assert refusal.endswith(" while parsing a flow sequence that starts in line 2")


def test_reference_in_braces_gets_a_hint() -> None:
    assert "a reference needs quotes" in refusal_of("a: {b: ${env:X}}")


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\u2029"])
def test_line_ends_of_yaml_1_1_are_refused(separator: str) -> None:
    assert refusal_of(f"a: b\nc: 'd{separator}e'") == (
        f'f.yaml:2:6: expected `\\n` to end lines; in text write `"\\u{ord(separator):04X}"`, in quotes'
    )


@pytest.mark.parametrize(("size", "is_read"), [(-1, True), (0, True), (1, False)])
def test_size_of_a_file_is_bounded(size: int, is_read: bool) -> None:
    content = b"a: b\n" + b"#" * (MAX_FILE_BYTES + size - 5)
    if is_read:
        assert plain(compose(content, "f.yaml")) == {"a": "b"}
    else:
        assert (
            refusal_of(content) == f"f.yaml:1:1: expected at most {MAX_FILE_BYTES} bytes in a file, got more"
        )


@pytest.mark.parametrize(
    ("depth", "is_read"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, True), (MAX_DEPTH + 1, False)]
)
def test_depth_is_bounded(depth: int, is_read: bool) -> None:
    content = "[" * depth + "]" * depth
    if is_read:
        compose(content.encode(), "f.yaml")
    else:
        assert (
            refusal_of(content)
            == f"f.yaml:1:{depth}: expected at most {MAX_DEPTH} levels of nesting, got more"
        )


@pytest.mark.parametrize(
    ("nodes", "is_read"), [(MAX_NODES - 1, True), (MAX_NODES, True), (MAX_NODES + 1, False)]
)
def test_number_of_nodes_is_bounded(nodes: int, is_read: bool) -> None:
    content = "[" + "a," * (nodes - 1) + "]"
    if is_read:
        compose(content.encode(), "f.yaml")
    else:
        assert f"expected at most {MAX_NODES} values in a file, got more" in refusal_of(content)


@pytest.mark.parametrize(
    "bomb", ["[", "{", "- ", "? ", "[a, ", "- - [", '{"a":', "&a [", "[? ", "a:\n", "!x ", "*a "], ids=repr
)
def test_hostile_repetition_is_answered_quickly(bomb: str) -> None:
    started = time.monotonic()
    try:
        compose((bomb * (MAX_FILE_BYTES // len(bomb))).encode(), "f.yaml")
    except SettingsError:
        pass
    assert time.monotonic() - started < 10


def test_alias_repeats_its_anchor() -> None:
    root = compose(b"a: &x {b: [c]}\nd: *x\ne: &y f\ng: *y\n", "f.yaml")
    assert plain(root) == {"a": {"b": ["c"]}, "d": {"b": ["c"]}, "e": "f", "g": "f"}


@pytest.mark.parametrize(("extra", "is_read"), [(-1, True), (0, True), (1, False)])
def test_aliases_may_repeat_so_many_nodes(extra: int, is_read: bool) -> None:
    content = (
        "[&x ["
        + "a," * (MAX_ALIASED_NODES // 2 - 1)
        + "], *x, &y ["
        + "a," * (MAX_ALIASED_NODES // 2 - 1 + extra)
        + "], *y]"
    )
    if is_read:
        compose(content.encode(), "f.yaml")
    else:
        assert f"expected aliases to repeat at most {MAX_ALIASED_NODES} values, got more" in refusal_of(
            content
        )


def test_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "expected aliases to repeat at most" in refusal_of("\n".join(lines))


def test_depth_through_aliases_is_bounded() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, MAX_DEPTH)]
    assert "levels of nesting" in refusal_of("\n".join(lines))
    compose("\n".join(lines[:-1]).encode(), "f.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: *nope", "f.yaml:1:4: alias `*nope` repeats an anchor that is not defined above"),
        ("a: &x [*x]", "f.yaml:1:8: alias `*x` repeats an anchor that is still open"),
    ],
)
def test_alias_without_a_finished_anchor_is_refused(content: str, message: str) -> None:
    assert refusal_of(content) == message


@pytest.mark.parametrize(
    "value",
    [
        'tab\t, quote ", backslash \\, slash /, newline \n, nul \0',
        "ümlaut, emoji 😀, astral 𐐷, \ue000, \u2028",
        "\\ud83d\\ude00 literally",
        "\\\\ud83d",
        "",
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_reads_as_json(value: str, ascii_only: bool) -> None:
    document = {"a": value, "list": [value, {"b": value}]}
    text = json.dumps(document, ensure_ascii=ascii_only, indent="\t")
    assert plain(compose(text.encode(), "f.json")) == document


def test_json_may_escape_slashes_and_stand_on_one_line() -> None:
    assert plain(compose(b'{"a":"http:\\/\\/x","b":["1"],"c":"\\u00e9\\ud83d\\ude00"}', "f.json")) == {
        "a": "http://x",
        "b": ["1"],
        "c": "é😀",
    }


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00", "\\ude00\\ud83d", "\\ud83dx"])
def test_json_with_half_a_surrogate_pair_is_refused(half: str) -> None:
    assert "not YAML" in refusal_of(f'{{"a": "{half}"}}', "f.json")
