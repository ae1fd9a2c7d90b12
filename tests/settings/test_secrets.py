from pathlib import Path

import pytest

from proxy.settings.secrets import MAX_SECRET_BYTES, References, Revealed, UnresolvedError


def references(folder: Path, **environ: str) -> References:
    return References(environ, folder)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("", ""),
        ("$env:A", "$env:A"),
        ("{env:A}", "{env:A}"),
        ("${env:A}", "one"),
        ("${env:A}${env:B}", "onetwo"),
        ("x-${env:A}-y", "x-one-y"),
        ("${env:EMPTY}", ""),
        ("$${env:A}", "${env:A}"),
        ("$${", "${"),
        ("$$${env:A}", "$${env:A}"),
        ("$${env:A} ${env:A}", "${env:A} one"),
        ("${env:NESTED}", "${env:A}"),
        ("$ {env:A}", "$ {env:A}"),
    ],
)
def test_references_are_replaced(tmp_path: Path, text: str, value: str) -> None:
    found = references(tmp_path, A="one", B="two", EMPTY="", NESTED="${env:A}").resolve(text)
    assert found == value


@pytest.mark.parametrize(
    "text", ["${", "${}", "${A}", "${env}", "${env:A", "${ENV:A}", "${ env:A}", "${vault:a}", "a ${env:A} ${"]
)
def test_what_looks_like_a_reference_and_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        UnresolvedError, match=r"expected `\$\{env:NAME\}` or `\$\{file:PATH\}`.*write `\$\$\{`"
    ):
        references(tmp_path, A="one").resolve(text)


@pytest.mark.parametrize("name", ["", "A B", "1A", "A-B", "Ä"])
def test_name_of_a_variable_is_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnresolvedError, match="expected the name of an environment variable"):
        references(tmp_path, **{name: "x"}).resolve(f"${{env:{name}}}")


def test_missing_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnresolvedError, match=r"^environment variable `NOPE` is not set$"):
        references(tmp_path).resolve("${env:NOPE}")


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret\n\n", "secret\n"),
        (b" two\nlines ", " two\nlines "),
        (b"", ""),
        ("ü".encode(), "ü"),
    ],
)
def test_file_is_read_from_the_folder_without_its_last_line_end(
    tmp_path: Path, content: bytes, value: str
) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert references(tmp_path).resolve("${file:secret}") == value


def test_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s", encoding="utf-8")
    assert references(Path("/nowhere")).resolve(f"${{file:{tmp_path}/secret}}") == "s"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("${file:nope}", "cannot be read: no such file or directory"),
        ("${file:.}", "cannot be read: is a directory"),
        ("${file:}", "expected the path of a file"),
        ("${file:a\0b}", "expected the path of a file"),
        ("${file:binary}", "is not UTF-8 text"),
    ],
)
def test_file_that_brings_nothing_is_refused(tmp_path: Path, reference: str, message: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(UnresolvedError, match=message):
        references(tmp_path).resolve(reference)


@pytest.mark.parametrize(("extra", "is_read"), [(-1, True), (0, True), (1, False)])
def test_size_of_a_secret_is_bounded(tmp_path: Path, extra: int, is_read: bool) -> None:
    (tmp_path / "secret").write_bytes(b"x" * (MAX_SECRET_BYTES + extra))
    if is_read:
        assert len(references(tmp_path).resolve("${file:secret}")) == MAX_SECRET_BYTES + extra
    else:
        with pytest.raises(UnresolvedError, match=f"is larger than {MAX_SECRET_BYTES} bytes"):
            references(tmp_path).resolve("${file:secret}")


def test_revealed_text_is_marked_and_does_not_print(tmp_path: Path) -> None:
    value = references(tmp_path, A="hunter2").resolve("${env:A}")
    assert isinstance(value, Revealed)
    assert "hunter2" not in repr(value)
    assert "hunter2" not in repr([value])


def test_escape_alone_reveals_nothing(tmp_path: Path) -> None:
    assert not isinstance(references(tmp_path).resolve("a $${b}"), Revealed)
